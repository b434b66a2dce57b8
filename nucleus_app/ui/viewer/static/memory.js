// What this browser remembers. Its storage may be full or forbidden: then nothing fails, it is only forgotten sooner.

const unkept = new Map();

export function recall(key) {
  try {
    return unkept.get(key) ?? localStorage.getItem(key);
  } catch {
    return unkept.get(key) ?? null;
  }
}

/** Returns whether it will still be there after this page is gone. */
export function remember(key, value) {
  try {
    localStorage.setItem(key, value);
    unkept.delete(key);
    return true;
  } catch {
    unkept.set(key, value);
    return false;
  }
}

export function forget(key) {
  unkept.delete(key);
  try {
    localStorage.removeItem(key);
  } catch {
    // forbidden: then it never was there
  }
}

/** Names of all that is remembered and begins so. */
export function listKeys(prefix) {
  let kept = [];
  try {
    kept = Object.keys(localStorage);
  } catch {
    // forbidden
  }
  return [...new Set([...kept, ...unkept.keys()])].filter((key) => key.startsWith(prefix));
}

/** JSON that was remembered, or the fallback where there is none or it is damaged. */
export function recallJson(key, fallback) {
  try {
    return JSON.parse(recall(key)) ?? fallback;
  } catch {
    forget(key);
    return fallback;
  }
}
