// Finding hot spots in the open image: the window, the five best places, the heat map, and the choice.

import { button, el } from './element.js';
import { ask } from './http.js';
import { area, number, percent, range } from './numbers.js';
import { HPF_MM2 } from './sheet.js';

export class HotSpots {
  /** handlers: image() → id, target() → nuclei, onHeat(heat or null), onPoint(box or null), onChoose(spot), onNotice(kind, text). */
  constructor(base, handlers) {
    Object.assign(this, { base, handlers, heat: null, image: null });
    this.by = el('select', { 'aria-label': 'Window of the search', onchange: () => this.search() });
    this.list = el('ol', { class: 'nv-spots', 'aria-label': 'Hot spots' });
    this.said = el('p', { class: 'nv-hint', role: 'status' });
    this.toggle = el('input', { type: 'checkbox', checked: true, 'data-heat': '', onchange: () => this.showHeat() });
    this.node = el('div', { class: 'nv-hot', hidden: true, role: 'group', 'aria-label': 'Hot spots' },
      el('div', { class: 'nv-row' }, this.by, button('Close', () => this.close(), { 'aria-label': 'Close the hot spots' })),
      this.said, this.list, el('label', { class: 'nv-check' }, this.toggle, 'Heat map over the image'));
  }

  get isOpen() {
    return !this.node.hidden;
  }

  open() {
    const target = this.handlers.target();
    const chosen = this.by.value;
    this.by.replaceChildren(el('option', { value: `area_mm2=${HPF_MM2}` }, `squares of ${HPF_MM2} mm²`), el('option', { value: `nuclei=${target}` }, `until ${number(target)} tumour nuclei`));
    if (chosen) this.by.value = chosen;
    if (!this.by.value) this.by.selectedIndex = 0;
    this.node.hidden = false;
    return this.search();
  }

  close() {
    this.node.hidden = true;
    this.heat = null;
    this.handlers.onHeat(null);
    this.handlers.onPoint(null);
  }

  async search() {
    const image = (this.image = this.handlers.image()), turn = (this.turn = (this.turn ?? 0) + 1);
    this.said.textContent = 'Looking for hot spots…';
    try {
      const { spots, heat } = await ask(`${this.base}nucleus/api/images/${image}/hotspots?${this.by.value}`);
      if (turn !== this.turn || !this.isOpen || image !== this.handlers.image()) return;
      this.heat = heat;
      this.show(spots);
    } catch (error) {
      if (turn !== this.turn) return;
      this.list.replaceChildren();
      this.said.textContent = error.status ? error.message : 'The server does not answer. Try again.';
    }
    this.showHeat();
  }

  show(spots) {
    const { onPoint, onChoose } = this.handlers;
    this.said.textContent = spots.length ? 'Highest first. Point at one to see it; choose one to add it as a field.' : 'No place has enough tumour nuclei for this window.';
    this.list.replaceChildren(...spots.map((spot, i) => {
      const row = el('li', { 'data-spot': i },
        el('span', { class: 'nv-field-index' }, `${percent(spot.percent)} %`), el('span', { class: 'nv-field-range' }, range(spot.low_percent, spot.high_percent)),
        el('span', { class: 'nv-field-counts' }, `${number(spot.positive)} of ${number(spot.tumour)} · ${area(spot.area_mm2)}`),
        button('Choose', () => onChoose(spot), { 'aria-label': `Choose hot spot ${i + 1}, ${percent(spot.percent)} %` }));
      for (const on of ['pointerenter', 'focusin']) row.addEventListener(on, () => onPoint(spot.box));
      for (const off of ['pointerleave', 'focusout']) row.addEventListener(off, () => onPoint(null));
      return row;
    }));
  }

  showHeat() {
    this.handlers.onHeat(this.toggle.checked ? this.heat : null);
  }
}
