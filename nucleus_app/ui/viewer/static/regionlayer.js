// Draws painted regions: vectors are the truth, two masks of at most 2048 px are the picture.

import { addLayer, clearLayer } from './overlay.js';
import { REGION_COLOURS } from './palettes.js';
import { cellsOf, LAYER_OF, rowsOf } from './regions.js';

const LONGEST_MASK_PX = 2048;
const ALPHA = { tissue: 0.3, reviewed: 0.16 };
const ERASERS = ['erase', 'unreviewed'];

export class RegionLayer {
  constructor(host) {
    this.canvas = addLayer(host);
    this.masks = {};
    this.shown = true;
  }

  /** Begin anew for an image of this size. */
  setSize(width, height) {
    this.step = Math.max(1, Math.max(width, height) / LONGEST_MASK_PX);
    for (const layer of Object.keys(ALPHA)) {
      const mask = document.createElement('canvas');
      Object.assign(mask, { width: Math.ceil(width / this.step), height: Math.ceil(height / this.step) });
      this.masks[layer] = mask.getContext('2d');
    }
    this.painted = null;
    this.isEmpty = true;
  }

  /** Bring the masks up to the regions (last first, as Review has them); a region added on top is painted alone. */
  update(regions) {
    const now = regions.filter((region) => !region.undone).reverse();
    const before = this.painted ?? [];
    const goesOn = before.length <= now.length && before.every((region, i) => region === now[i]);
    if (!goesOn) for (const g of Object.values(this.masks)) g.clearRect(0, 0, g.canvas.width, g.canvas.height);
    for (const { op } of now.slice(goesOn ? before.length : 0)) this.paint(op);
    this.painted = now;
    this.isEmpty = now.length === 0;
  }

  paint(op) {
    const g = this.masks[LAYER_OF[op.label]];
    g.globalCompositeOperation = ERASERS.includes(op.label) ? 'destination-out' : 'source-over';
    g.fillStyle = g.strokeStyle = `rgb(${REGION_COLOURS[op.label] ?? [0, 0, 0]})`;
    trace(g, op, 1 / this.step);
  }

  /** draft: a region still being drawn, or null. suggestion: the network's own map (cells), or null. */
  draw(view, draft, suggestion) {
    const g = clearLayer(this.canvas, view);
    if (!this.shown || (this.isEmpty && !draft && !suggestion)) return;
    const scale = view.scale * view.ratio;
    g.setTransform(scale, 0, 0, scale, view.x * view.ratio, view.y * view.ratio);
    if (!this.isEmpty) {
      for (const [layer, mask] of Object.entries(this.masks)) {
        g.globalAlpha = ALPHA[layer];
        g.drawImage(mask.canvas, 0, 0, mask.canvas.width * this.step, mask.canvas.height * this.step);
      }
    }
    g.globalAlpha = 0.38;
    for (const op of [suggestion, draft]) {
      if (!op) continue;
      g.fillStyle = g.strokeStyle = `rgb(${REGION_COLOURS[op.label] ?? [255, 255, 255]})`;
      trace(g, op, 1);
    }
    g.globalAlpha = 1;
  }
}

/** Fill a region, its coordinates times k. Pixel centres lie at integers. */
function trace(g, op, k) {
  const at = (value) => (value + 0.5) * k;
  if (op.shape === 'cells') {
    const cells = cellsOf(op), side = op.size * k;
    for (let row = 0; row < rowsOf(op); row++) {
      for (let column = 0; column < op.columns; column++) {
        if (!cells[row * op.columns + column]) continue;
        g.fillRect(at(op.left + column * op.size), at(op.top + row * op.size), side, side);
      }
    }
    return;
  }
  g.beginPath();
  for (let i = 0; i < op.pts.length; i += 2) g.lineTo(at(op.pts[i]), at(op.pts[i + 1]));
  if (op.shape === 'polygon') {
    g.closePath();
    g.fill('evenodd');
    return;
  }
  g.lineWidth = 2 * op.r * k;
  g.lineCap = g.lineJoin = 'round';
  if (op.pts.length === 2) g.lineTo(at(op.pts[0]) + 1e-3, at(op.pts[1]));
  g.stroke();
}
