// A map of small squares over the image, and its legend: the index where a hot-spot search counted, pale where that was little; or how brown
// a slide is.

import { el } from './element.js';
import { addLayer, clearLayer } from './overlay.js';

const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]]; // viridis: in order for every eye
const ALPHA = 0.55, PALE = 0.2, FEW = 10; // tumour nuclei

/** How a map is read: percentAt(map, i) of a square or null, isPale(map, i), reach: the share of squares that the scale is for. */
const INDEX = { name: 'Ki67 index', note: `pale: under ${FEW} nuclei`, percentAt: ({ percent }, i) => percent[i], isPale: ({ tumour }, i) => tumour[i] < FEW, reach: 1 };
export const BROWN = { name: 'Brown', note: 'of the stain, at low power', percentAt: ({ brown }, i) => (brown[i] === null ? null : 100 * brown[i]), isPale: () => false, reach: 0.99 };

/** The colour of a share 0..1. */
function colourOf(share) {
  const at = Math.min(1, Math.max(0, share)) * (RAMP.length - 1), i = Math.min(RAMP.length - 2, Math.floor(at));
  return RAMP[i].map((value, k) => Math.round(value + (RAMP[i + 1][k] - value) * (at - i)));
}

export class HeatLayer {
  constructor(host, reading = INDEX) {
    this.reading = reading;
    this.canvas = addLayer(host);
    this.key = el('div', { class: 'nv-heat-key', hidden: true });
    this.heat = null;
  }

  /** heat: { size_px, columns, rows, and what the reading reads } or null. */
  set(heat) {
    this.heat = heat;
    this.key.hidden = !heat;
    if (!heat) return;
    const { name, note, percentAt, isPale, reach } = this.reading, values = Array.from({ length: heat.columns * heat.rows }, (_, i) => percentAt(heat, i));
    const known = values.filter((value, i) => value !== null && !isPale(heat, i)).sort((a, b) => a - b), most = known[Math.ceil(reach * known.length) - 1] ?? 0;
    const top = Math.max(5, Math.ceil(most / 5) * 5), isOver = known.at(-1) > top;
    const picture = document.createElement('canvas');
    Object.assign(picture, { width: heat.columns, height: heat.rows });
    const g = picture.getContext('2d'), data = g.createImageData(heat.columns, heat.rows);
    values.forEach((value, i) => {
      if (value !== null) data.data.set([...colourOf(value / top), 255 * (isPale(heat, i) ? PALE : ALPHA)], 4 * i);
    });
    g.putImageData(data, 0, 0);
    this.picture = picture;
    const stops = RAMP.map((colour) => `rgb(${colour})`).join(', ');
    this.key.replaceChildren(el('span', {}, name), el('span', {}, '0 %'), el('i', { style: `background: linear-gradient(90deg, ${stops})` }), el('span', {}, `${top} %${isOver ? ' and more' : ''}`), el('small', {}, note));
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
