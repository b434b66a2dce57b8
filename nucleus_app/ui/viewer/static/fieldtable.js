// The fields of a case in the reader's order: what each is called, stands for, and came to.

import { button, el, refill } from './element.js';
import { TYPING_MS } from './casestore.js';
import { percent, range } from './numbers.js';
import { beforeAt, isUsed, nameOf, rolesOf } from './sheet.js';
import { describeField } from './verdict.js';

const LONGEST = 120;

export class FieldTable {
  /** handlers: edit(change, delay), onRemove(field, its place, name), onGo(field), onPoint(field or null), nameImage(id) → text. */
  constructor(handlers) {
    Object.assign(this, { handlers, shown: '', rows: [] });
    this.list = this.node = el('ol', { class: 'nv-fields-list', 'aria-label': 'Fields', tabindex: -1 });
    this.list.addEventListener('dragover', (event) => { if (this.dragged !== undefined) event.preventDefault(); });
  }

  /** Rows are built anew only for what is not typed, since that could take a press of a button away. */
  show(sheet, state) {
    this.sheet = sheet;
    const reports = new Map(state.fields.map((field) => [field.id, field])), locked = Boolean(state.signature);
    const numbers = state.fields.map(({ id, percent: index, low_percent: low, high_percent: high, tallies, area_mm2: mm2 }) => [id, index, low, high, tallies, mm2]);
    const shown = JSON.stringify([state.id, sheet.protocol, sheet.shares, sheet.fields.map(({ name, ...field }) => field), numbers, state.images, locked]);
    if (shown !== this.shown) this.build(sheet, reports, state, locked);
    this.shown = shown;
    sheet.fields.forEach((field, i) => this.rows[i].name(field, i));
  }

  build(sheet, reports, state, locked) {
    const { list } = this, isGrown = this.rows.length > 0 && sheet.fields.length > this.rows.length, isOf = this.of === state.id;
    const key = list.contains(document.activeElement) ? document.activeElement.dataset.key : null, scrolled = list.scrollTop;
    this.of = state.id;
    this.rows = sheet.fields.map((field, i) => this.row(field, i, sheet, reports.get(field.id), state, locked));
    refill(list, ...this.rows.map(({ node }) => node));
    list.scrollTop = isOf ? (isGrown ? list.scrollHeight : scrolled) : 0;
    if (key) this.keepFocus(key);
  }

  /** What had the focus may be gone, or have nothing to do any more: then the row has it, or the row that took its place. */
  keepFocus(key) {
    const { activeElement } = document;
    if (activeElement !== document.body && !activeElement.disabled) return;
    const id = Number(key.split('-').at(-1)), own = this.rows.find((row) => row.id === id) ?? this.rows[Math.min(this.removed ?? 0, this.rows.length - 1)];
    (own?.go ?? this.list).focus({ preventScroll: true });
  }

  row(field, i, sheet, report, state, locked) {
    const { edit, onGo, onPoint, onRemove, nameImage } = this.handlers, named = [], used = isUsed(sheet, field), { cutoffs } = state.rule;
    const roles = rolesOf(sheet.protocol).includes(field.role) ? rolesOf(sheet.protocol) : [field.role, ...rolesOf(sheet.protocol)];
    const nameNow = () => nameOf(this.sheet.fields.find(({ id }) => id === field.id) ?? field, i);
    const change = (values) => ({ op: 'field', id: field.id, values, name: nameNow() });
    const label = (node, what) => { named.push([node, what]); return node; };
    const small = (text, title, key, act, off = false) => label(button(text, act, { class: 'nv-tiny', title, 'data-key': `${key}-${field.id}`, disabled: locked || off }), `${title}: `);
    const move = (to) => edit({ op: 'place', id: field.id, before: beforeAt(this.sheet, field.id, to), name: nameNow() });
    const where = state.images.length > 1 ? `${field.box ? 'in' : 'all of'} ${nameImage(field.image)}` : field.box ? '' : 'whole image';
    const go = label(button(String(i + 1), () => onGo(field), { class: 'nv-go', title: 'Show this field', 'data-key': `go-${field.id}` }), 'Show ');
    const input = el('input', { type: 'text', class: 'nv-field-name', maxlength: LONGEST, value: field.name, 'aria-label': `Name of field ${i + 1}`, 'data-key': `name-${field.id}`, disabled: locked, autocomplete: 'off',
      oninput: () => edit(change({ name: input.value }), TYPING_MS), onblur: () => { input.value = this.sheet.fields.find(({ id }) => id === field.id)?.name ?? ''; } });
    const node = el('li', { 'data-field': field.id, class: used ? null : 'nv-unused', draggable: locked ? null : 'true' },
      go, input,
      el('span', { class: 'nv-field-index' }, report?.percent == null ? '–' : `${percent(report.percent, cutoffs)} %`, report?.percent == null ? '' : el('small', { class: 'nv-field-range' }, range(report.low_percent, report.high_percent, cutoffs))),
      el('div', { class: 'nv-field-line' }, el('span', { class: 'nv-field-counts' }, report ? describeField(report) : '…'), el('span', { class: 'nv-field-acts' },
        sheet.fields.length > 1 ? el('span', { class: 'nv-moves' }, small('↑', 'Move up', 'up', () => move(i - 1), i === 0), small('↓', 'Move down', 'down', () => move(i + 1), i === sheet.fields.length - 1)) : null,
        roles.length > 1 ? label(el('select', { 'data-key': `role-${field.id}`, disabled: locked, onchange: (e) => edit(change({ role: e.target.value })) },
          ...roles.map((role) => el('option', { value: role, selected: role === field.role }, role))), 'Role of ') : null,
        small('×', 'Remove the field', 'remove', () => { this.removed = i; onRemove(field.id, i, nameNow()); }))),
      where || !used ? el('span', { class: 'nv-field-where', title: where }, used ? null : el('strong', {}, 'not in the score'), used || !where ? '' : ' · ', where) : null);
    node.addEventListener('click', (event) => { if (!event.target.closest('button, input, select')) onGo(field); });
    for (const on of ['pointerenter', 'focusin']) node.addEventListener(on, () => onPoint(field));
    for (const off of ['pointerleave', 'focusout']) node.addEventListener(off, () => onPoint(null));
    this.drag(node, field, i);
    const name = (now, at) => {
      const text = nameOf(now, at);
      if (input !== document.activeElement) input.value = now.name;
      input.placeholder = text;
      for (const [labelled, what] of named) labelled.setAttribute('aria-label', what + text);
    };
    return { id: field.id, node, go, name };
  }

  /** A row can be dragged to another's place; the buttons do the same. */
  drag(row, field, i) {
    row.addEventListener('dragstart', (event) => {
      if (event.target !== row || row.querySelector('input') === document.activeElement) return event.preventDefault(); // she selects text
      this.dragged = field.id;
      event.dataTransfer.effectAllowed = 'move';
    });
    row.addEventListener('dragend', () => { this.dragged = undefined; });
    row.addEventListener('drop', (event) => {
      const id = this.dragged;
      if (id === undefined) return;
      event.preventDefault();
      this.dragged = undefined;
      this.handlers.edit({ op: 'place', id, before: beforeAt(this.sheet, id, i), name: 'a field' });
    });
  }
}
