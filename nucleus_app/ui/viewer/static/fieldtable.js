// The fields of a case in the reader's order: what each is called, stands for, and came to.

import { button, el, refill } from './element.js';
import { TYPING_MS } from './casestore.js';
import { percent, range } from './numbers.js';
import { changeField, isUsed, moveField, nameOf, removeField, rolesOf } from './sheet.js';
import { describeField } from './verdict.js';

const LONGEST = 120;

export class FieldTable {
  /** handlers: edit(sheet → sheet, delay), onGo(field), onPoint(field or null). */
  constructor(handlers) {
    Object.assign(this, { handlers, shown: '' });
    this.list = this.node = el('ol', { class: 'nv-fields-list', 'aria-label': 'Fields' });
    this.list.addEventListener('dragover', (event) => { if (this.dragged !== undefined) event.preventDefault(); });
  }

  /** openImage: rows of other images say whose they are. */
  show(sheet, state, openImage) {
    const reports = new Map(state.fields.map((field) => [field.id, field])), labels = new Map(state.images.map(({ id, label }) => [id, label]));
    const typing = this.list.contains(document.activeElement) && document.activeElement.matches('input');
    const shown = JSON.stringify([state.id, sheet.protocol, typing ? sheet.fields.map(({ name, ...field }) => field) : sheet.fields, state.fields, state.images, openImage, Boolean(state.signature)]);
    if (shown === this.shown) return;
    this.shown = shown;
    refill(this.list, ...sheet.fields.map((field, i) => this.row(field, i, sheet, reports.get(field.id), labels.get(field.image), state)));
  }

  row(field, i, sheet, report, label, state) {
    const { edit, onGo, onPoint } = this.handlers, locked = Boolean(state.signature), name = nameOf(field, i);
    const roles = rolesOf(sheet.protocol).includes(field.role) ? rolesOf(sheet.protocol) : [field.role, ...rolesOf(sheet.protocol)];
    const small = (text, title, key, act, off = false) => button(text, act, { class: 'nv-tiny', title, 'aria-label': `${title}: ${name}`, 'data-key': `${key}-${field.id}`, disabled: locked || off });
    const where = state.images.length > 1 ? `${field.box ? 'in' : 'all of'} ${label ?? 'an image'}` : field.box ? '' : 'whole image';
    const row = el('li', { 'data-field': field.id, class: isUsed(sheet, field) ? null : 'nv-unused', draggable: locked ? null : 'true' },
      button(String(i + 1), () => onGo(field), { class: 'nv-go', title: 'Show this field', 'aria-label': `Show ${name}`, 'data-key': `go-${field.id}` }),
      el('input', { type: 'text', class: 'nv-field-name', maxlength: LONGEST, value: field.name, placeholder: name, 'aria-label': `Name of field ${i + 1}`, 'data-key': `name-${field.id}`, disabled: locked, autocomplete: 'off',
        oninput: (e) => edit((s) => changeField(s, field.id, { name: e.target.value }), TYPING_MS) }),
      el('span', { class: 'nv-field-index' }, report?.percent == null ? '–' : `${percent(report.percent)} %`),
      el('span', { class: 'nv-field-counts' }, report ? describeField(report) : '…'),
      el('span', { class: 'nv-field-range' }, report?.percent == null ? '' : range(report.low_percent, report.high_percent)),
      el('span', { class: 'nv-field-acts' }, el('span', { class: 'nv-field-where', title: where }, isUsed(sheet, field) ? where : [where, 'not in the score'].filter(Boolean).join(', ')),
        roles.length > 1 ? el('select', { 'aria-label': `Role of ${name}`, 'data-key': `role-${field.id}`, disabled: locked, onchange: (e) => edit((s) => changeField(s, field.id, { role: e.target.value })) },
          ...roles.map((role) => el('option', { value: role, selected: role === field.role }, role))) : null,
        small('↑', 'Move up', 'up', () => edit((s) => moveField(s, field.id, -1)), i === 0),
        small('↓', 'Move down', 'down', () => edit((s) => moveField(s, field.id, 1)), i === sheet.fields.length - 1),
        small('×', 'Remove the field', 'remove', () => edit((s) => removeField(s, field.id)))));
    row.addEventListener('click', (event) => { if (!event.target.closest('button, input, select')) onGo(field); });
    for (const on of ['pointerenter', 'focusin']) row.addEventListener(on, () => onPoint(field));
    for (const off of ['pointerleave', 'focusout']) row.addEventListener(off, () => onPoint(null));
    this.drag(row, field, i);
    return row;
  }

  /** A row can be dragged to another's place; the buttons do the same. */
  drag(row, field, i) {
    row.addEventListener('dragstart', (event) => {
      if (event.target !== row || row.querySelector('input') === document.activeElement) return event.preventDefault(); // she selects text
      this.dragged = [field.id, i];
      event.dataTransfer.effectAllowed = 'move';
    });
    row.addEventListener('dragend', () => { this.dragged = undefined; });
    row.addEventListener('drop', (event) => {
      if (this.dragged === undefined) return;
      event.preventDefault();
      const [id, from] = this.dragged;
      this.dragged = undefined;
      this.handlers.edit((sheet) => {
        let moved = sheet;
        for (let at = from; at !== i; at += Math.sign(i - from)) moved = moveField(moved, id, Math.sign(i - from));
        return moved;
      });
    });
  }
}
