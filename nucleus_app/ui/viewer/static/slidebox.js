// Boxes of fields on a slide: whole pixels of full resolution, corners between pixels, from 0 to its width and height. No DOM in here.

import { area, number } from './numbers.js';
import { squareAt } from './squares.js';

const HALF = 0.5; // elsewhere in the viewer pixel centres are at integers
const TENTH_FROM_MEGAPIXELS = 10;

/** As the layers and squares of the viewer have boxes. */
export const toImageBox = (box) => box.map((value) => value - HALF);

/** A square of so many mm² around a place, moved inwards at the border; null where the slide is smaller. slide: as the server lists it. */
export function squareOn({ x, y }, mm2, { mpp, width_px: width, height_px: height }) {
  const box = squareAt({ x: x - HALF, y: y - HALF }, mm2, { mpp, width, height });
  if (!box) return null;
  const side = Math.round(box[2] - box[0]), left = between(Math.round(box[0] + HALF), width - side), top = between(Math.round(box[1] + HALF), height - side);
  return [left, top, left + side, top + side];
}

/** The rectangle between two places, inside the slide. */
export function rectangleOn(from, to, { width_px: width, height_px: height }) {
  const [left, right] = [from.x, to.x].sort((a, b) => a - b), [top, bottom] = [from.y, to.y].sort((a, b) => a - b);
  return [between(left, width), between(top, height), between(right, width), between(bottom, height)].map(Math.round);
}

/** Moved by a way, but not over the border. */
export function moved([left, top, right, bottom], { x, y }, { width_px: width, height_px: height }) {
  const atX = between(Math.round(left + x), width - right + left), atY = between(Math.round(top + y), height - bottom + top);
  return [atX, atY, atX + right - left, atY + bottom - top];
}

const between = (value, most) => Math.min(Math.max(value, 0), most);

export const holds = ([left, top, right, bottom], { x, y }) => x >= left && x < right && y >= top && y < bottom;

export const overlap = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];

const sidesOf = ([left, top, right, bottom]) => [right - left, bottom - top];

export const megapixelsOf = ([left, top, right, bottom]) => ((right - left) * (bottom - top)) / 1e6;

/** Its size in µm and mm², or in pixels where nobody knows more. */
export function describeBox(box, slide) {
  const { mpp } = slide, [w, h] = sidesOf(box);
  return mpp ? `${number(Math.round(w * mpp))} × ${number(Math.round(h * mpp))} µm · ${describeArea(box, slide)}` : describeArea(box, slide);
}

/** The same in short. */
export function describeArea(box, { mpp }) {
  const [w, h] = sidesOf(box);
  return mpp ? area((w * h * mpp * mpp) / 1e6) : `${number(w)} × ${number(h)} px`;
}

export function describeMegapixels(box) {
  const millions = megapixelsOf(box);
  return `${millions < TENTH_FROM_MEGAPIXELS ? Math.max(0.1, millions).toFixed(1) : number(Math.round(millions))} megapixels`;
}
