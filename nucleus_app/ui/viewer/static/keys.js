// Which key does what: defaults, what a reader changed, and the sheet that shows and changes them.

import { el } from './element.js';
import { recallJson, remember } from './memory.js';

const STORE = 'nucleus:keys';

/** action: [title, default keys]. The order is that of the sheet. */
const ACTIONS = {
  positive: ['Immunopositive tumour: nucleus under the pointer, the selection, or what is added', ['1']],
  negative: ['Immunonegative tumour, likewise', ['2']],
  other: ['Non-tumour, likewise', ['3']],
  remove: ['No nucleus: remove', ['X', 'Delete', 'Backspace']],
  next: ['Next doubtful nucleus', ['N']],
  previous: ['Previous doubtful nucleus', ['Shift+N']],
  enter: ['Agree with the doubtful nucleus; at the crosshair: click; close an outline', ['Enter']],
  carry: ['Pick a nucleus up, put it down', ['M']],
  undo: ['Undo', ['Ctrl+Z']],
  redo: ['Redo', ['Ctrl+Shift+Z', 'Ctrl+Y']],
  save: ['Save now (every edit is saved by itself)', ['Ctrl+S']],
  pan: ['Tool: look and select', ['V']],
  point: ['Tool: add and move nuclei', ['A']],
  rectangle: ['Tool: select in a rectangle', ['R']],
  lasso: ['Tool: select with a lasso', ['L']],
  brush: ['Tool: paint a region', ['B']],
  polygon: ['Tool: outline a region', ['P']],
  eraser: ['Tool: erase regions', ['E']],
  field: ['Tool: drag a field of the case', ['D']],
  nextField: ['Next field of the case', ['J']],
  previousField: ['Previous field of the case', ['Shift+J']],
  smaller: ['Smaller brush', ['[']],
  larger: ['Larger brush', [']']],
  selectView: ['Select every nucleus in view', ['Ctrl+A']],
  cancel: ['Drop the selection or the outline', ['Escape']],
  hide: ['Hide the marks while held', ['H']],
  drag: ['Move the image while held', ['Space']],
  fine: ['Marks as fine outlines', ['O']],
  regions: ['Show or hide regions', ['G']],
  crosshair: ['Crosshair in the middle: work without a mouse', ['C']],
  fit: ['Whole image', ['F', '0']],
  closer: ['Closer', ['+', '=']],
  farther: ['Farther', ['-']],
  left: ['Move left', ['ArrowLeft']],
  right: ['Move right', ['ArrowRight']],
  up: ['Move up', ['ArrowUp']],
  down: ['Move down', ['ArrowDown']],
  keys: ['This sheet', ['?']],
};
/** As in the IKWG's counting app, for those who are used to it. */
const TALLY = { positive: ['D', '1'], negative: ['A', '2'], point: ['W'] };

/** The name of a pressed key with its modifiers; letters in capitals, signs without Shift. */
export function nameOf(event) {
  let key = event.key === ' ' ? 'Space' : event.key.length === 1 ? event.key.toUpperCase() : event.key;
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code ?? '');
  if (digit && !event.shiftKey) key = digit[1]; // on some keyboards digits need Shift
  const parts = [];
  const types = event.getModifierState?.('AltGraph'); // AltGr types a sign, and some systems call it Ctrl+Alt
  if ((event.ctrlKey || event.metaKey) && !types) parts.push('Ctrl');
  if (event.shiftKey && (/^[A-Z]$/.test(key) || key.length > 1)) parts.push('Shift');
  return [...parts, key].join('+');
}

export class Keys {
  constructor() {
    this.changed = {};
    for (const [action, keys] of Object.entries(recallJson(STORE, {}))) if (ACTIONS[action] && Array.isArray(keys)) this.changed[action] = keys.map(String);
    this.index();
  }

  index() {
    this.actions = new Map();
    for (const action of Object.keys(ACTIONS)) for (const key of this.of(action)) this.actions.set(key, action);
  }

  of(action) {
    return this.changed[action] ?? ACTIONS[action][1];
  }

  actionOf(event) {
    return event.altKey && !event.getModifierState('AltGraph') ? undefined : this.actions.get(nameOf(event));
  }

  /** Give an action a key, and take that key from the one that had it. */
  set(action, key) {
    for (const other of Object.keys(ACTIONS)) if (this.of(other).includes(key)) this.changed[other] = this.of(other).filter((k) => k !== key);
    this.changed[action] = [key];
    this.keep();
  }

  replaceAll(changed) {
    this.changed = {};
    for (const [action, keys] of Object.entries(changed)) {
      for (const other of Object.keys(ACTIONS)) if (other !== action) this.changed[other] = this.of(other).filter((k) => !keys.includes(k));
      this.changed[action] = keys;
    }
    this.keep();
  }

  keep() {
    remember(STORE, JSON.stringify(this.changed));
    this.index();
    this.onChange?.();
  }
}

export class KeySheet {
  constructor(host, keys) {
    this.keys = keys;
    this.waiting = null;
    this.node = el('dialog', { class: 'nv-sheet', 'aria-label': 'Keys' });
    this.node.addEventListener('keydown', (event) => this.onKey(event));
    host.appendChild(this.node);
  }

  toggle() {
    if (this.node.open) return this.node.close();
    this.waiting = null;
    this.fill();
    this.node.showModal();
  }

  fill() {
    const rows = Object.entries(ACTIONS).map(([action, [title]]) =>
      el('tr', {}, el('td', {}, title), el('td', {},
        el('button', { type: 'button', 'data-action': action, title: 'Press to choose another key', onclick: () => this.wait(action) },
          this.waiting === action ? 'press a key…' : this.keys.of(action).map(show).join('  ') || 'none'))));
    this.node.replaceChildren(
      el('h2', {}, 'Keys'),
      el('div', { class: 'nv-sheet-rows' }, el('table', {}, el('tbody', {}, ...rows))),
      el('p', {}, 'Mouse: wheel zooms; with Add, click places (Alt: exactly there), drag moves, Shift-click removes; while selecting, Shift adds, Alt takes away.'),
      el('p', { class: 'nv-sheet-buttons' },
        el('button', { type: 'button', onclick: () => this.use({}) }, 'Usual keys'),
        el('button', { type: 'button', onclick: () => this.use(TALLY) }, 'Tally keys (A negative, D positive)'),
        el('button', { type: 'button', class: 'nv-main', onclick: () => this.node.close() }, 'Close')),
    );
  }

  wait(action) {
    this.waiting = action;
    this.fill();
    this.node.querySelector(`[data-action=${action}]`).focus();
  }

  use(changed) {
    this.keys.replaceAll(changed);
    this.fill();
  }

  onKey(event) {
    event.stopPropagation();
    if (!this.waiting) {
      if (this.keys.actionOf(event) === 'keys') {
        event.preventDefault();
        this.node.close();
      }
      return;
    }
    if (['Shift', 'Control', 'Alt', 'Meta', 'Tab'].includes(event.key)) return;
    event.preventDefault();
    const action = this.waiting;
    this.waiting = null;
    if (event.key !== 'Escape') this.keys.set(action, nameOf(event));
    this.fill();
    this.node.querySelector(`[data-action=${action}]`).focus();
  }
}

/** A key as people write it. */
export function show(key) {
  return key.replace('Arrow', '').replace('Escape', 'Esc');
}
