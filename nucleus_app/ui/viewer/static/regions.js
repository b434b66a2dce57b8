// Geometry of painted regions, in image pixels. The same arithmetic as domain/regions.py, so that browser and server agree on
// every nucleus. No DOM in here.

export const LAYER_OF = { tumour: 'tissue', 'non-tumour': 'tissue', exclude: 'tissue', erase: 'tissue', reviewed: 'reviewed', unreviewed: 'reviewed' };
export const LEAVES_OUT = ['exclude', 'non-tumour'];

/** Rectangle [left, top, right, bottom] that holds a region. */
export function boundsOf(op) {
  if (op.shape === 'cells') return [op.left, op.top, op.left + op.size * op.columns, op.top + op.size * rowsOf(op)];
  const r = op.shape === 'brush' ? op.r : 0;
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < op.pts.length; i += 2) {
    box[0] = Math.min(box[0], op.pts[i] - r);
    box[1] = Math.min(box[1], op.pts[i + 1] - r);
    box[2] = Math.max(box[2], op.pts[i] + r);
    box[3] = Math.max(box[3], op.pts[i + 1] + r);
  }
  return box;
}

export function covers(op, x, y) {
  if (op.shape === 'brush') return inStroke(op.pts, op.r, x, y);
  if (op.shape === 'polygon') return inPolygon(op.pts, x, y);
  return inCells(op, x, y);
}

function inStroke(pts, r, px, py) {
  const last = pts.length - 2;
  for (let i = 0; i === 0 || i < last; i += 2) {
    const ax = pts[i], ay = pts[i + 1];
    const dx = last ? pts[i + 2] - ax : 0, dy = last ? pts[i + 3] - ay : 0;
    const length = dx * dx + dy * dy;
    const t = length === 0 ? 0 : Math.min(1, Math.max(0, ((px - ax) * dx + (py - ay) * dy) / length));
    const ex = px - (ax + t * dx), ey = py - (ay + t * dy);
    if (ex * ex + ey * ey <= r * r) return true;
  }
  return false;
}

export function inPolygon(pts, x, y) {
  let inside = false;
  for (let i = 0, j = pts.length - 2; i < pts.length; j = i, i += 2) {
    const xi = pts[i], yi = pts[i + 1], xj = pts[j], yj = pts[j + 1];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

const masks = new WeakMap();

/** The cells of a coarse mask as one byte each, row by row. */
export function cellsOf(op) {
  let mask = masks.get(op);
  if (!mask) {
    mask = new Uint8Array(op.runs.reduce((sum, run) => sum + run, 0));
    let at = 0;
    op.runs.forEach((run, k) => {
      mask.fill(k % 2, at, at + run);
      at += run;
    });
    masks.set(op, mask);
  }
  return mask;
}

export function rowsOf(op) {
  return Math.ceil(cellsOf(op).length / op.columns);
}

function inCells(op, x, y) {
  const column = Math.floor((x - op.left) / op.size), row = Math.floor((y - op.top) / op.size);
  return column >= 0 && column < op.columns && row >= 0 && cellsOf(op)[row * op.columns + column] === 1;
}
