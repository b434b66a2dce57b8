// The bar of tools at the left of the image, and the line under it that says what a tool does.

import { el, shape } from './element.js';
import { show } from './keys.js';
import { drawMark, NOUNS, REGION_COLOURS, TITLES } from './palettes.js';
import { CLASSES } from './points.js';
import { LABELS, TOOLS } from './tools.js';

const ICONS = {
  pan: 'M4 3l8 16 2-7 7-2z',
  point: 'M12 5v14M5 12h14M12 12m-9 0a9 9 0 1 0 18 0a9 9 0 1 0-18 0',
  rectangle: 'M4 6h16v12H4z',
  lasso: 'M12 4c5 0 8 2.4 8 5.4s-3 5.4-8 5.4-8-2.4-8-5.4S7 4 12 4M8 14.5c-2 1-2 4 1 5.500',
  brush: 'M20 4L10 14M9 13c-3 0-4 2-4 4 0 1.500-1 2-2 2 4 2.500 8 1 8-3z',
  polygon: 'M5 8l8-4 7 6-3 9-10 1z',
  eraser: 'M4 15l9-9 6 6-7 7H8zM9 10l6 6',
  field: 'M4 8V4h4M20 8V4h-4M4 16v4h4M20 16v4h-4M9 12h6M12 9v6',
  undo: 'M9 5L4 10l5 5M4 10h10a5 5 0 0 1 0 10h-3',
  redo: 'M15 5l5 5-5 5M20 10H10a5 5 0 0 0 0 10h3',
  fit: 'M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5',
  keys: 'M3 7h18v11H3zM7 11h1M11 11h1M15 11h1M8 15h8',
};
const NAMES = {
  pan: 'Look and select', point: 'Add and move nuclei', rectangle: 'Select in a rectangle', lasso: 'Select with a lasso', brush: 'Paint a region',
  polygon: 'Outline a region', eraser: 'Erase regions', field: 'Drag a field', undo: 'Undo', redo: 'Redo', fit: 'Whole image', keys: 'Keys',
};
const HINTS = {
  pan: (a, b, c, x) => `Drag to move. Point at a nucleus and press ${a}, ${b}, ${c} or ${x}.`,
  point: () => 'Click: nucleus of the chosen class. Drag one to move it, Shift-click removes.',
  rectangle: (a, b, c, x) => `Drag a rectangle, then press ${a}, ${b}, ${c} or ${x}.`,
  lasso: (a, b, c, x) => `Draw around nuclei, then press ${a}, ${b}, ${c} or ${x}.`,
  brush: () => 'Paint. Alt erases.',
  polygon: (a, b, c, x, enter) => `Click corners; double-click or ${enter} closes, ${x} drops the last.`,
  eraser: () => 'Wipe regions away.',
  field: () => 'Drag a rectangle: a field of the case. Shift: a square of 0.2 mm². Esc leaves.',
};
const GROUPS = [TOOLS, CLASSES, ['undo', 'redo', 'fit', 'keys']];

export class Toolbar {
  /** act(action): what a key would do. onLabel(label). */
  constructor(stage, keys, handlers) {
    Object.assign(this, { keys, handlers, buttons: new Map() });
    this.bar = el('div', { class: 'nv-tools', role: 'toolbar', 'aria-label': 'Tools', 'aria-orientation': 'vertical' });
    this.hint = el('div', { class: 'nv-tip' });
    this.options = el('div', { class: 'nv-options' });
    this.chosen = el('div', { class: 'nv-chosen', role: 'status' });
    stage.append(this.bar, el('div', { class: 'nv-under' }, this.chosen, this.options, this.hint));
    for (const group of GROUPS) {
      const box = el('div', { class: 'nv-group' });
      for (const action of group) box.appendChild(this.button(action));
      this.bar.appendChild(box);
    }
    // Buttons must not take the keys from the viewer, and a drag that starts here must not move the image.
    for (const name of ['pointerdown', 'mousedown']) this.bar.addEventListener(name, (event) => event.stopPropagation());
  }

  button(action) {
    const kind = CLASSES.indexOf(action);
    const picture = kind < 0 ? icon(ICONS[action]) : el('canvas', { width: 40, height: 40, 'aria-hidden': 'true' });
    const button = el('button', { type: 'button', 'data-action': action, onclick: () => this.handlers.act(action) }, picture, el('kbd', { 'aria-hidden': 'true' }));
    this.buttons.set(action, button);
    return button;
  }

  /** state: { tool, kind, label, brushUm, selection: [positive, negative, other] or null, colours }. */
  show({ tool, kind, label, brushUm, selection, colours }) {
    for (const [action, button] of this.buttons) {
      const key = this.keys.of(action)[0];
      const at = CLASSES.indexOf(action);
      const name = at < 0 ? NAMES[action] : TITLES[at];
      button.title = key ? `${name} (${show(key)})` : name;
      button.setAttribute('aria-label', name);
      button.querySelector('kbd').textContent = key && show(key).length < 3 ? show(key) : '';
      if (TOOLS.includes(action)) button.setAttribute('aria-pressed', action === tool);
      if (at >= 0) {
        button.setAttribute('aria-pressed', at === kind);
        const g = button.querySelector('canvas').getContext('2d');
        g.clearRect(0, 0, 40, 40);
        drawMark(g, at, colours[at], 20, 20, 11);
      }
    }
    this.hint.textContent = selection ? '' : HINTS[tool](...[...CLASSES, 'remove', 'enter'].map((action) => show(this.keys.of(action)[0] ?? '–')));
    this.showOptions(tool, label, brushUm);
    this.showSelection(selection);
  }

  showOptions(tool, label, brushUm) {
    const paints = ['brush', 'polygon', 'eraser'].includes(tool);
    this.options.hidden = !paints;
    if (!paints) return;
    const parts = [];
    if (tool === 'eraser') parts.push(...this.labels(['tumour', 'reviewed'], { tumour: 'tissue regions' }, label === 'reviewed' ? 'reviewed' : 'tumour'));
    else parts.push(...this.labels(LABELS, {}, label));
    if (tool !== 'polygon') {
      parts.push(el('button', { type: 'button', title: 'Smaller brush ([)', 'aria-label': 'Smaller brush', onclick: () => this.handlers.act('smaller') }, '−'),
        el('span', { class: 'nv-size' }, `${(2 * brushUm).toFixed(0)} µm`),
        el('button', { type: 'button', title: 'Larger brush (])', 'aria-label': 'Larger brush', onclick: () => this.handlers.act('larger') }, '+'));
    }
    this.options.replaceChildren(...parts);
  }

  labels(labels, names, chosen) {
    return labels.map((label) => el('button', { type: 'button', 'data-label': label, 'aria-pressed': String(label === chosen), onclick: () => this.handlers.onLabel(label) },
      el('i', { style: `background: rgb(${REGION_COLOURS[label]})` }), names[label] ?? label));
  }

  /** What a bulk edit would change. */
  showSelection(counts) {
    this.chosen.hidden = !counts;
    if (!counts) return;
    const total = counts.reduce((sum, n) => sum + n, 0);
    const of = NOUNS.map((noun, kind) => [counts[kind], noun]).filter(([n]) => n).map(([n, noun]) => `${n.toLocaleString('en-US')} ${noun}`);
    const act = (action, text) => el('button', { type: 'button', 'data-bulk': action, onclick: () => this.handlers.act(action) }, text);
    this.chosen.replaceChildren(
      el('strong', {}, `${total.toLocaleString('en-US')} selected`), el('span', {}, of.length > 1 || total === 0 ? of.join(', ') : of[0].replace(/^[\d,]+ /, 'all ')),
      ...[['positive', 'positive'], ['negative', 'negative'], ['other', 'non-tumour'], ['remove', 'remove'], ['cancel', 'drop']].map(([action, text]) => act(action, `${show(this.keys.of(action)[0] ?? '')} ${text}`)),
    );
  }
}

function icon(path) {
  return shape('svg', { viewBox: '0 0 24 24', 'aria-hidden': 'true' }, shape('path', { d: path }));
}
