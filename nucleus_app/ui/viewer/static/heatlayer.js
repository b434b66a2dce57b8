// The heat map of a hot-spot search over the image, and its legend: the index of small squares, pale where little was counted.

import { el } from './element.js';
import { addLayer, clearLayer } from './overlay.js';

const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]]; // viridis: in order for every eye
const ALPHA = 0.55, PALE = 0.2, FEW = 10; // tumour nuclei

/** The colour of a share 0..1. */
function colourOf(share) {
  const at = Math.min(1, Math.max(0, share)) * (RAMP.length - 1), i = Math.min(RAMP.length - 2, Math.floor(at));
  return RAMP[i].map((value, k) => Math.round(value + (RAMP[i + 1][k] - value) * (at - i)));
}

export class HeatLayer {
  constructor(host) {
    this.canvas = addLayer(host);
    this.key = el('div', { class: 'nv-heat-key', hidden: true });
    this.heat = null;
  }

  /** heat: { size_px, columns, rows, percent, tumour } or null. */
  set(heat) {
    this.heat = heat;
    this.key.hidden = !heat;
    if (!heat) return;
    const known = heat.percent.filter((value, i) => value !== null && heat.tumour[i] >= FEW);
    this.top = Math.max(5, Math.ceil(known.reduce((most, value) => Math.max(most, value), 0) / 5) * 5);
    const picture = document.createElement('canvas');
    Object.assign(picture, { width: heat.columns, height: heat.rows });
    const g = picture.getContext('2d'), data = g.createImageData(heat.columns, heat.rows);
    heat.percent.forEach((value, i) => {
      if (value !== null) data.data.set([...colourOf(value / this.top), 255 * (heat.tumour[i] < FEW ? PALE : ALPHA)], 4 * i);
    });
    g.putImageData(data, 0, 0);
    this.picture = picture;
    const stops = RAMP.map((colour) => `rgb(${colour})`).join(', ');
    this.key.replaceChildren(el('span', {}, 'Ki67 index'), el('span', {}, '0 %'), el('i', { style: `background: linear-gradient(90deg, ${stops})` }), el('span', {}, `${this.top} %`), el('small', {}, `pale: under ${FEW} nuclei`));
  }

  draw(view) {
    const g = clearLayer(this.canvas, view);
    if (!this.heat) return;
    const scale = view.scale * view.ratio, { size_px: size, columns, rows } = this.heat;
    g.imageSmoothingEnabled = false;
    g.save();
    g.beginPath();
    g.rect(view.x * view.ratio, view.y * view.ratio, view.imageWidth * scale, view.imageHeight * scale); // its last squares reach over the edge
    g.clip();
    g.drawImage(this.picture, view.x * view.ratio, view.y * view.ratio, columns * size * scale, rows * size * scale);
    g.restore();
  }
}
