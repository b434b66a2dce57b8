// Where a reader looked last in each image.

import { recallJson, remember } from './memory.js';

const STORE = 'nucleus:views', MOST = 60;

export function keepView(blob, { x, y, width, height }) {
  const views = recallJson(STORE, {});
  delete views[blob];
  views[blob] = [x, y, width, height];
  for (const old of Object.keys(views).slice(0, -MOST)) delete views[old];
  remember(STORE, JSON.stringify(views));
}

/** [x, y, width, height] in OpenSeadragon's viewport, or null. */
export function findView(blob) {
  const view = recallJson(STORE, {})[blob];
  return Array.isArray(view) && view.length === 4 && view.every(Number.isFinite) ? view : null;
}
