// Finding hot spots in the open image: the window, the five best places, the heat map, and the choice. After corrections it looks again.

import { button, el, setText } from './element.js';
import { isSame } from './changes.js';
import { ask } from './http.js';
import { area, number, percent, range } from './numbers.js';
import { HPF_MM2 } from './sheet.js';

const AGAIN_MS = 900, AREAS_MM2 = [HPF_MM2, 2];
const HINT = 'Highest first, by the lower end of the interval. Point at one to see it; choose one to add it as a field.';

export class HotSpots {
  /** handlers: image() → id or null, onHeat(heat or null), onPoint(box or null), onChoose(spot, image), isField(spot, image). */
  constructor(base, handlers) {
    Object.assign(this, { base, handlers, heat: null, image: null, rows: [], cutoffs: [], isLocked: false });
    this.until = el('option', {});
    this.by = el('select', { 'aria-label': 'Window of the search', onchange: () => this.search() },
      ...AREAS_MM2.map((mm2) => el('option', { value: `area_mm2=${mm2}` }, `squares of ${mm2} mm²`)), this.until);
    this.list = el('ol', { class: 'nv-spots', 'aria-label': 'Hot spots' });
    this.said = el('p', { class: 'nv-hint', role: 'status' });
    this.note = el('p', { class: 'nv-spot-note', role: 'status', hidden: true });
    this.toggle = el('input', { type: 'checkbox', checked: true, 'data-heat': '', onchange: () => this.showHeat() });
    this.node = el('div', { class: 'nv-hot', hidden: true, role: 'group', 'aria-label': 'Hot spots' },
      el('div', { class: 'nv-row' }, this.by, button('Close', () => this.close(), { 'aria-label': 'Close the hot spots' })),
      this.said, this.note, this.list, el('label', { class: 'nv-check' }, this.toggle, 'Heat map over the image'));
  }

  get isOpen() {
    return !this.node.hidden;
  }

  async open() {
    this.node.hidden = false;
    await this.search();
    this.node.scrollIntoView({ block: 'nearest' });
  }

  close() {
    clearTimeout(this.timer);
    this.node.hidden = true;
    this.heat = this.image = null;
    this.handlers.onHeat(null);
    this.handlers.onPoint(null);
  }

  /** sheet of the case: what to count up to, and which spots are fields already; rule: its cut-offs. isLocked: nothing can be chosen. */
  show(sheet, { cutoffs }, isLocked) {
    const value = `nuclei=${sheet.target}`, wasChosen = this.until.selected;
    const isOther = !isSame(cutoffs, this.cutoffs);
    Object.assign(this, { cutoffs, isLocked });
    if (isOther && this.rows.length) this.fill(this.rows.map(({ spot }) => spot), this.note.textContent || null);
    if (this.until.value !== value) {
      Object.assign(this.until, { value, textContent: `until ${number(sheet.target)} tumour nuclei` });
      if (this.isOpen && wasChosen) this.search();
    }
    this.mark();
  }

  /** Nuclei are being changed: what is listed is old, and is looked for again when they rest. isSaved: on the server. */
  onChanged(isSaved) {
    if (!this.isOpen) return;
    this.node.classList.add('nv-old');
    clearTimeout(this.timer);
    if (isSaved) this.timer = setTimeout(() => this.search(), AGAIN_MS);
  }

  async search() {
    const image = this.handlers.image(), turn = (this.turn = (this.turn ?? 0) + 1);
    clearTimeout(this.timer);
    this.node.classList.add('nv-old');
    if (image === null) return setText(this.said, 'The image is still loading: look again in a moment.');
    if (image !== this.image) this.list.replaceChildren();
    this.image = image;
    if (!this.list.children.length) setText(this.said, 'Looking for hot spots…');
    try {
      const { spots, heat, note } = await ask(`${this.base}nucleus/api/images/${image}/hotspots?${this.by.value}`);
      if (turn !== this.turn || !this.isOpen || image !== this.handlers.image()) return;
      this.heat = heat;
      this.fill(spots, note);
    } catch (error) {
      if (turn !== this.turn || !this.isOpen) return;
      this.heat = null;
      this.fill([], null, error.status ? error.message : 'The server does not answer. Try again.');
    }
    this.showHeat();
  }

  fill(spots, note, said = spots.length ? HINT : 'No place has enough tumour nuclei for this window.') {
    const at = this.list.contains(document.activeElement) ? this.rows.findIndex(({ choose }) => choose === document.activeElement) : -1;
    this.node.classList.remove('nv-old');
    setText(this.said, spots.length || !note ? said : '');
    setText(this.note, note ?? '');
    this.note.hidden = !note;
    this.handlers.onPoint(null);
    this.rows = spots.map((spot, i) => this.row(spot, i));
    this.list.replaceChildren(...this.rows.map(({ node }) => node));
    this.mark();
    this.rows[at]?.choose.focus({ preventScroll: true });
  }

  row(spot, i) {
    const { onPoint, onChoose } = this.handlers, { image, cutoffs } = this, index = `${percent(spot.percent, cutoffs)} %`;
    const choose = button('Choose', () => { if (choose.getAttribute('aria-disabled') !== 'true') onChoose(spot, image); });
    const node = el('li', { 'data-spot': i },
      el('span', { class: 'nv-field-index' }, index), el('span', { class: 'nv-field-range' }, range(spot.low_percent, spot.high_percent, cutoffs)),
      el('span', { class: 'nv-field-counts' }, `${number(spot.positive)} of ${number(spot.tumour)} · ${area(spot.area_mm2)}`), choose);
    for (const on of ['pointerenter', 'focusin']) node.addEventListener(on, () => onPoint(spot.box));
    for (const off of ['pointerleave', 'focusout']) node.addEventListener(off, () => onPoint(null));
    return { node, spot, choose, name: `hot spot ${i + 1}, ${index}` };
  }

  /** Which are fields already. The button keeps its place and the focus. */
  mark() {
    for (const { spot, choose, name } of this.rows) {
      const isField = this.handlers.isField(spot, this.image);
      setText(choose, isField ? '✓ chosen' : 'Choose');
      choose.setAttribute('aria-label', `${isField ? 'Is a field' : 'Choose'}: ${name}`);
      choose.setAttribute('aria-disabled', isField || this.isLocked);
    }
  }

  showHeat() {
    this.handlers.onHeat(this.toggle.checked ? this.heat : null);
  }
}
