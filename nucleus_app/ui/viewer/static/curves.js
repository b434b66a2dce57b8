// Curves of a lesson, drawn as SVG in whole pixels: sharp on every screen, and said in words as well.

import { el, shape } from './element.js';
import { number } from './numbers.js';

const HEIGHT = 150, LEFT = 38, RIGHT = 12, TOP = 10, BOTTOM = 24, MOST_POINTS = 400, LABEL_PX = 14;

export class Curves {
  /** title: of the figure; lines: [{ key, name }]; digits of a number; range: 'from zero', or else from the lowest value. */
  constructor({ title, lines, digits, range }) {
    Object.assign(this, { title, lines, digits, range, points: {}, of: 0 });
    this.picture = shape('svg', { role: 'img', height: HEIGHT, class: 'nv-curves' });
    this.words = el('figcaption', {});
    this.rows = el('tbody', {});
    this.numbers = el('details', { class: 'nv-rule' }, el('summary', {}, 'As numbers'), el('div', { class: 'nv-sheet-rows' }, el('table', { class: 'nv-numbers' },
      el('thead', {}, el('tr', {}, ...['Step', ...lines.map(({ name }) => name)].map((text) => el('th', { scope: 'col' }, text)))), this.rows)));
    this.node = el('figure', { class: 'nv-figure' }, el('div', { class: 'nv-figure-title' }, title), this.picture, this.words, this.numbers);
    new ResizeObserver(() => this.draw()).observe(this.node);
  }

  /** points: { key: [[step, value], …] }; of: the last step that there will be, or 0. */
  show(points, of) {
    const known = JSON.stringify([points, of]);
    if (known === this.known) return;
    Object.assign(this, { known, points, of });
    const said = this.lines.map((line) => this.say(line, points[line.key] ?? []));
    this.words.replaceChildren(...(said.some(Boolean) ? said.map((text, i) => el('span', { class: `nv-key nv-key-${i}` }, text)) : ['Nothing measured yet.']));
    this.picture.setAttribute('aria-label', `${this.title}. ${said.join(' ') || 'Nothing measured yet.'}`);
    this.numbers.hidden = !said.some(Boolean);
    const steps = [...new Set(this.lines.flatMap(({ key }) => thin(points[key] ?? [], 40).map(([step]) => step)))].sort((a, b) => a - b);
    this.rows.replaceChildren(...steps.map((step) => el('tr', {}, el('th', { scope: 'row' }, number(step)), ...this.lines.map(({ key }) => el('td', {}, this.write((points[key] ?? []).find((point) => point[0] === step)?.[1]))))));
    this.draw();
  }

  write(value) {
    return value === undefined ? '–' : value.toFixed(this.digits);
  }

  say({ name }, points) {
    if (!points.length) return '';
    const [first, last] = [points[0], points.at(-1)];
    return first === last ? `${name}: ${this.write(last[1])}.` : `${name}: ${this.write(first[1])} → ${this.write(last[1])}.`;
  }

  draw() {
    const width = Math.floor(this.node.clientWidth);
    if (!width) return;
    const all = this.lines.flatMap(({ key }) => this.points[key] ?? []), [low, high, ticks] = this.scale(all.map(([, value]) => value));
    const last = Math.max(this.of, ...all.map(([step]) => step), 1), right = width - RIGHT, bottom = HEIGHT - BOTTOM;
    const x = (step) => LEFT + ((right - LEFT) * step) / last, y = (value) => bottom - ((bottom - TOP) * (value - low)) / (high - low);
    const text = (value, at, anchor) => { const node = shape('text', { ...at, 'text-anchor': anchor, class: 'nv-tick' }); node.textContent = value; return node; };
    const line = (at) => shape('line', { ...at, class: 'nv-grid' });
    this.picture.setAttribute('width', width);
    this.picture.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
    this.picture.replaceChildren(
      ...ticks.flatMap((tick) => { const at = Math.round(y(tick)) + 0.5; return [line({ x1: LEFT, x2: right, y1: at, y2: at }), text(tick.toFixed(ticks.digits), { x: LEFT - 6, y: at + 4 }, 'end')]; }),
      text('0', { x: LEFT, y: bottom + LABEL_PX }, 'start'), text(`step ${number(last)}`, { x: right, y: bottom + LABEL_PX }, 'end'),
      ...this.lines.flatMap(({ key }, i) => this.curve(thin(this.points[key] ?? [], MOST_POINTS).map(([step, value]) => [x(step), y(Math.min(high, Math.max(low, value)))]), i)),
    );
  }

  curve(places, i) {
    if (!places.length) return [];
    const path = places.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(' '), [x, y] = places.at(-1);
    return [shape('polyline', { points: path, class: `nv-curve nv-curve-${i}` }), shape('circle', { cx: x.toFixed(1), cy: y.toFixed(1), r: 3.5, class: `nv-end nv-curve-${i}` })];
  }

  /** [lowest, highest, round numbers between]. */
  scale(values) {
    if (!values.length) return [0, 1, Object.assign([0, 0.5, 1], { digits: 1 })];
    let low = this.range === 'from zero' ? 0 : Math.min(...values), high = Math.max(...values);
    if (high - low < 1e-9) [low, high] = [low - (low > 0.05 ? 0.05 : 0), high + 0.05];
    const step = roundUp((high - low) / 3), from = Math.floor(low / step + 1e-9), to = Math.ceil(high / step - 1e-9);
    const ticks = Array.from({ length: to - from + 1 }, (_, i) => (from + i) * step);
    return [from * step, to * step, Object.assign(ticks, { digits: Math.max(0, Math.min(4, -Math.floor(Math.log10(step) + 1e-9))) })];
  }
}

/** The next of 1, 2, 5, 10, 20 … above a number. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((times) => times * power >= value * (1 - 1e-9));
}

/** Not more than so many, the first and the last among them. */
function thin(points, most) {
  if (points.length <= most) return points;
  return Array.from({ length: most }, (_, i) => points[Math.round((i * (points.length - 1)) / (most - 1))]);
}
