// Questions to our own routes: JSON in, JSON out, errors in the server's own words.

const TIMEOUT_MS = 30_000;
/** What to say where a request that changes something had no answer. */
export const UNSURE = 'The answer of the server did not come. Look whether it happened, then try again.';

/**
 * Whether an answer says that the app will never take what was sent. All else, as a proxy that asks to sign in, has too much to do or
 * does not find the app, is like a lost network: try again. isOurs: it came with the app's own words.
 */
export function isRefusal(status, isOurs) {
  return [413, 415, 422].includes(status) || (isOurs && [400, 404].includes(status));
}

/** Throws an Error whose message can be shown; `status` is missing where no answer came, `isFinal` is that of isRefusal. */
export async function ask(url, given) {
  return (await send(url, given)).json();
}

/** As ask, for an answer that is no JSON. */
export async function fetchBytes(url) {
  return (await send(url)).arrayBuffer();
}

async function send(url, { method = 'GET', body, text, timeout = TIMEOUT_MS } = {}) {
  const sends = body !== undefined || text !== undefined;
  const options = sends ? { headers: { 'content-type': 'application/json' }, body: text ?? JSON.stringify(body) } : {};
  const answer = await fetch(url, { method, cache: 'no-store', signal: AbortSignal.timeout(timeout), ...options });
  if (answer.ok) return answer;
  const { detail } = answer.status < 500 ? await answer.json().catch(() => ({})) : {};
  const { status } = answer, isOurs = typeof detail === 'string';
  throw Object.assign(new Error(isOurs ? detail : `The server answered ${status}.`), { status, isFinal: isRefusal(status, isOurs) });
}
