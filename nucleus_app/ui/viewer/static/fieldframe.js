// The rectangle of a field while it is dragged: its corners, its size in words, and the box it would be.

import { area } from './numbers.js';
import { HPF_MM2 } from './sheet.js';
import { squareAt } from './squares.js';

const LEAST_PX = 8; // on the screen: less is a slip of the hand

/** from, to: places in the image; square: a high-power field around the pointer instead. stage: { data, width, height, view }. */
export function frame(from, to, square, stage) {
  const { width, height, view } = stage, mpp = stage.data?.mpp;
  const box = square && mpp ? squareAt(to, HPF_MM2, { mpp, width, height }) : [Math.min(from.x, to.x), Math.min(from.y, to.y), Math.max(from.x, to.x), Math.max(from.y, to.y)];
  if (!box) return { pts: corners([to.x, to.y, to.x, to.y]), closed: true, box: null, text: `The image is smaller than a square of ${HPF_MM2} mm²` };
  const [left, top, right, bottom] = box, w = right - left, h = bottom - top;
  const isSlip = Math.min(w, h) * view.scale < LEAST_PX;
  const text = mpp ? `${Math.round(w * mpp)} × ${Math.round(h * mpp)} µm · ${area((w * h * mpp * mpp) / 1e6)}` : `${Math.round(w)} × ${Math.round(h)} px`;
  return { pts: corners(box), closed: true, box: isSlip ? null : box, text: isSlip ? 'Drag a rectangle' : text };
}

/** The last corner is the lower left one: the size is written under it. */
function corners([left, top, right, bottom]) {
  return [left, top, right, top, right, bottom, left, bottom];
}
