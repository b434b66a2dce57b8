// Square fields around a place of an image: of an area, or just large enough for a number of tumour nuclei. No DOM in here.

import { CLASSES, COUNTED } from './points.js';

/** A square of so many mm² around a place, inside an image; null where it does not fit. Corners lie between pixels. */
export function squareAt({ x, y }, mm2, { mpp, width, height }) {
  const side = (Math.sqrt(mm2) * 1000) / mpp;
  if (side > width || side > height) return null;
  const left = Math.min(Math.max(x - side / 2, -0.5), width - 0.5 - side), top = Math.min(Math.max(y - side / 2, -0.5), height - 0.5 - side);
  return [left, top, left + side, top + side].map((value) => Math.round(value * 100) / 100);
}

/**
 * The smallest square of whole pixels around a place that holds n tumour nuclei which count, moved inwards at the border and grown along one
 * side alone where the image is too narrow; null where the image holds fewer. points: a PointStore. As domain/hotspots.py grows them.
 */
export function squareHolding({ x, y }, n, points, { width, height }) {
  const tumour = [];
  for (let i = 0; i < points.n; i++) if (points.standings[i] === COUNTED && CLASSES[points.classes[i]] !== 'other') tumour.push(i);
  if (tumour.length < n) return null;
  const span = (at, side, length) => { // squares around a place lie within each other, also where they are moved
    const own = Math.min(side, length), start = Math.min(Math.max(Math.floor(at + 0.5) - Math.floor(side / 2), 0), length - own);
    return [start - 0.5, start + own - 0.5];
  };
  const boxOf = (side) => {
    const [left, right] = span(x, side, width), [top, bottom] = span(y, side, height);
    return [left, top, right, bottom];
  };
  const holds = ([left, top, right, bottom]) => tumour.filter((i) => points.xy[2 * i] >= left && points.xy[2 * i] < right && points.xy[2 * i + 1] >= top && points.xy[2 * i + 1] < bottom).length >= n;
  let tooSmall = 0, enough = 2 * Math.max(width, height) + 2;
  while (enough - tooSmall > 1) {
    const side = Math.floor((tooSmall + enough) / 2);
    if (holds(boxOf(side))) enough = side;
    else tooSmall = side;
  }
  return boxOf(enough);
}
