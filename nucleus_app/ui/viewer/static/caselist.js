// The list of cases: an image a line, several of one case under its heading; and moving images between cases.

import { button, el } from './element.js';
import { number, percent } from './numbers.js';

const LISTED = 300; // as many as the server lists

export class CaseList {
  /** handlers: onOpen(image id), onMove(target Brief), onSplit(). removal: of images. */
  constructor(base, handlers, removal) {
    Object.assign(this, { handlers, shown: '', cases: [] });
    this.title = el('h3', {});
    this.list = el('div', { class: 'nv-list' });
    this.target = el('select', { 'aria-label': 'Case to add this image to' });
    this.split = button('Make it a case of its own', () => handlers.onSplit());
    this.moveButton = button('Add', () => this.move());
    this.moving = el('details', { class: 'nv-section nv-moving' }, el('summary', {}, 'Move or remove this image'),
      el('fieldset', {}, el('label', { class: 'nv-ask' }, el('span', {}, 'Add it to'), el('span', { class: 'nv-row' }, this.target, this.moveButton)), el('p', { class: 'nv-row' }, this.split, removal.button)));
    this.fieldset = this.moving.querySelector('fieldset');
    this.node = el('section', { class: 'nv-cases', 'aria-label': 'Cases' }, el('div', { class: 'nv-heading' }, this.title, el('a', { class: 'nv-link', href: '?learning=1' }, 'Learning')), this.list, this.moving, removal.node,
      el('p', { class: 'nv-all' }, el('a', { href: `${base}nucleus/api/cases.xlsx`, download: true }, 'All cases as XLSX')));
  }

  /** images: as the server lists them, latest first; cases: their Briefs; own: the open case's { id, images }, in its order. */
  show(images, cases, openId, own) {
    Object.assign(this, { cases, own, isAll: images.length < LISTED });
    const shown = JSON.stringify([images, cases, openId, own]);
    if (shown === this.shown) return; // a rebuilt list would lose its place, and the press of a button
    this.shown = shown;
    const scrolled = this.list.scrollTop, focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    this.title.textContent = images.length < LISTED ? `Cases (${number(cases.length || images.length)})` : `Latest ${LISTED} images`;
    this.list.replaceChildren(...this.rows(images, cases, openId));
    this.list.scrollTop = scrolled;
    if (focused) this.list.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
    this.showMoving(images.find(({ id }) => id === openId));
  }

  rows(images, cases, openId) {
    const briefs = new Map(cases.map((brief) => [brief.id, brief])), listed = new Set(), rows = [];
    for (const image of images) {
      const brief = briefs.get(image.case);
      if (!brief || brief.images.length < 2) {
        rows.push(this.line(image, openId, brief));
        continue;
      }
      if (listed.has(brief.id)) continue; // stands where its latest image stands
      listed.add(brief.id);
      const numbers = this.numbersOf(brief);
      rows.push(el('div', { class: 'nv-group-of', role: 'group', 'aria-label': nameOf(brief), 'data-case': brief.id },
        el('div', { class: 'nv-case-line' }, el('span', { class: 'nv-label' }, nameOf(brief)), el('span', { class: 'nv-short' }, resultOf(brief))),
        ...images.filter((other) => other.case === brief.id).sort((a, b) => a.id - b.id).map((other) => this.line(other, openId, undefined, numbers.get(other.id)))));
    }
    return rows;
  }

  /** What the case's warnings call its images; of a case that may be longer than the list it is not known. */
  numbersOf({ id, images }) {
    const ids = this.own?.id === id ? this.own.images : this.isAll ? [...images].sort((a, b) => a - b) : [];
    return new Map(ids.map((image, i) => [image, i + 1]));
  }

  /** brief: of a case that has this image only; its result is the line's. n: the image's number in its case. */
  line(image, openId, brief, n) {
    const name = brief && isNamed(brief) && brief.label !== image.label ? `${brief.label} · ${image.label}` : nameImage(image.label, n);
    return el('button', { type: 'button', 'data-id': image.id, 'aria-current': image.id === openId ? 'true' : null, onclick: () => this.handlers.onOpen(image.id) },
      el('span', { class: 'nv-label', title: name }, name), el('span', { class: `nv-short nv-short-${image.state.replaceAll(' ', '-')}` }, image.counts && brief?.shown ? resultOf(brief) : short(image)));
  }

  /** Where the open image can go. */
  showMoving(image) {
    const own = image && this.cases.find((brief) => brief.id === image.case);
    this.moving.hidden = !own;
    if (!own) return;
    const chosen = this.target.value, others = this.cases.filter((brief) => brief !== own && brief.state === 'open');
    this.target.replaceChildren(el('option', { value: '' }, others.length ? 'choose a case' : 'there is no other open case'), ...others.map((brief) => el('option', { value: brief.id }, nameOf(brief))));
    this.target.value = others.some(({ id }) => String(id) === chosen) ? chosen : '';
    this.split.disabled = own.images.length < 2;
    this.fieldset.disabled = own.state === 'signed';
  }

  move() {
    const target = this.cases.find(({ id }) => String(id) === this.target.value);
    if (target) this.handlers.onMove(target);
  }
}

/** As the case's warnings number its images, and the label that they leave out. */
export const nameImage = (label, n) => (n ? `${n} · ${label}` : label);

/** Whether a person gave the case its label. */
const isNamed = ({ id, label }) => label !== '' && label !== `Case ${id}`;

const nameOf = (brief) => brief.label || `Case ${brief.id}`;

/** Index, class, and a mark when it is signed. */
function resultOf({ shown, class_name: name, state }) {
  return [state === 'signed' ? '✓' : '', shown === null ? '–' : `${shown} %`, (name ?? '').replace('Ki67-based', 'Ki67')].filter(Boolean).join(' ');
}

/** What an image came to, or what is going on with it. */
export function short(image) {
  if (image.refused) return 'not counted';
  if (image.counts) return image.index_percent === null ? 'no tumour' : `${percent(image.index_percent)} %`;
  return image.state === 'running' && image.tiles_total > 1 ? `${image.tiles_done}/${image.tiles_total}` : image.state;
}
