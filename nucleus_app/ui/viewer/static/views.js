// Where a reader looked last in each image.

const STORE = 'nucleus:views', MOST = 60;

function read() {
  try {
    return JSON.parse(localStorage.getItem(STORE)) ?? {};
  } catch {
    return {};
  }
}

export function keepView(blob, { x, y, width, height }) {
  const views = read();
  delete views[blob];
  views[blob] = [x, y, width, height];
  for (const old of Object.keys(views).slice(0, -MOST)) delete views[old];
  try {
    localStorage.setItem(STORE, JSON.stringify(views));
  } catch {
    // the browser's storage is full: the image opens whole
  }
}

/** [x, y, width, height] in OpenSeadragon's viewport, or null. */
export function findView(blob) {
  const view = read()[blob];
  return Array.isArray(view) && view.length === 4 && view.every(Number.isFinite) ? view : null;
}
