// Nuclei of locked cases that a lesson made newly right or newly wrong: small pictures, each a way to its place.

import { button, el } from './element.js';
import { NOUNS, PALETTES, drawMark } from './palettes.js';

const AT_FIRST = 12, RING_UM = 7.5, PICTURE_UM = 48, PICTURE_PX = 96, MARK_PX = 22; // as services/gallery.py draws them
const VIEWS = { truth: 'signed', before: 'before', after: 'after' };
const nounOf = (kind) => (kind === null ? 'nothing' : NOUNS[kind]);

export class Gallery {
  /** handlers: onOpen(change), palette() → its name. */
  constructor(base, handlers) {
    Object.assign(this, { base, handlers, view: 'after', opened: new Set(), known: '' });
    this.ring = el('fieldset', { class: 'nv-choose' }, el('legend', {}, 'Rings show'), ...Object.entries(VIEWS).map(([value, text]) =>
      el('label', {}, el('input', { type: 'radio', name: 'nv-ring', value, checked: value === this.view, onchange: () => { this.view = value; this.draw(); } }), text)));
    this.groups = el('div', {});
    this.node = el('div', { class: 'nv-gallery' }, el('div', { class: 'nv-gallery-head' }, el('h4', {}, 'Examples of what changed on the locked cases'), this.ring), this.groups);
  }

  /** run: its id; changes: the verdict's gallery, [image, x, y, truth, before, after] each. */
  show(run, changes) {
    const known = JSON.stringify([run, changes]);
    if (known === this.known) return this.draw();
    Object.assign(this, { known, run, changes: changes.map(([image, x, y, truth, before, after], n) => ({ n, image, x, y, truth, before, after })) });
    this.opened.clear();
    this.node.hidden = !changes.length;
    this.build();
  }

  build() {
    const right = this.changes.filter(({ truth, after }) => after === truth), wrong = this.changes.filter(({ truth, after }) => after !== truth);
    this.groups.replaceChildren(this.group('right', '✓ Newly right', right), this.group('wrong', '✕ Newly wrong', wrong));
    this.draw();
  }

  group(key, title, changes) {
    const shown = this.opened.has(key) ? changes : changes.slice(0, AT_FIRST), left = changes.length - shown.length;
    return el('section', { class: `nv-changes nv-changes-${key}`, 'aria-label': title.slice(2) }, el('h5', {}, `${title} (${changes.length})`),
      changes.length ? el('ul', {}, ...shown.map((change) => el('li', {}, this.tile(change)))) : el('p', { class: 'nv-hint' }, 'None.'),
      left ? button(`${left} more`, () => { this.opened.add(key); this.build(); this.groups.querySelector(`.nv-changes-${key} li:nth-child(${AT_FIRST + 1}) button`)?.focus(); }) : null);
  }

  tile(change) {
    const { n, truth, before, after } = change, words = `${nounOf(before)} → ${nounOf(after)}`;
    const picture = el('img', { src: `${this.base}nucleus/api/training/runs/${this.run}/nuclei/${n}.png`, alt: '', loading: 'lazy', draggable: 'false', onerror: () => tile.classList.add('nv-no-picture') });
    const tile = el('button', { type: 'button', class: 'nv-tile', 'data-n': n, onclick: () => this.handlers.onOpen(change),
      'aria-label': `Open: before ${nounOf(before)}, after ${nounOf(after)}, signed ${nounOf(truth)}` },
    el('span', { class: 'nv-picture' }, picture, el('canvas', { class: 'nv-ring', 'aria-hidden': 'true' })), el('span', { class: 'nv-tile-words' }, words), el('small', {}, after === truth ? 'as signed' : `signed: ${nounOf(truth)}`));
    return tile;
  }

  /** The rings, in the palette of the marks on the image. */
  draw() {
    const { colours } = PALETTES[this.handlers.palette()];
    for (const tile of this.groups.querySelectorAll('.nv-tile')) drawRing(tile.querySelector('canvas'), this.changes[tile.dataset.n][this.view], colours);
  }
}

/** A ring around the middle in the class's colour with the class's mark beside it; dashed where there is no nucleus. */
function drawRing(canvas, kind, colours) {
  const ratio = window.devicePixelRatio || 1, size = PICTURE_PX * ratio;
  Object.assign(canvas, { width: size, height: size });
  const g = canvas.getContext('2d'), middle = size / 2, radius = (RING_UM / PICTURE_UM) * size;
  for (const [style, width] of [['rgba(0, 0, 0, 0.75)', 4], [kind === null ? '#ffffff' : `rgb(${colours[kind]})`, 2]]) {
    g.beginPath();
    g.setLineDash(kind === null ? [4 * ratio, 4 * ratio] : []);
    g.arc(middle, middle, radius, 0, 2 * Math.PI);
    Object.assign(g, { strokeStyle: style, lineWidth: width * ratio });
    g.stroke();
  }
  g.setLineDash([]);
  if (kind === null) return;
  const at = size - (MARK_PX / 2 + 2) * ratio;
  g.fillStyle = 'rgba(255, 255, 255, 0.88)';
  g.beginPath();
  g.arc(at, at, (MARK_PX / 2) * ratio, 0, 2 * Math.PI);
  g.fill();
  drawMark(g, kind, colours[kind], at, at, 6.5 * ratio);
}

/** What the reader hears when she opened one: it lies in the middle. */
export function describeChange({ truth, before, after }) {
  return `In the middle: signed as ${nounOf(truth)}, before ${nounOf(before)}, after the lesson ${nounOf(after)}.`;
}
