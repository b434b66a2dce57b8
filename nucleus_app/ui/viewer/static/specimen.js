// What is written down of the specimen, folded away until it is wanted.

import { el } from './element.js';
import { TYPING_MS } from './casestore.js';

const LINES = { label: 'Case label', specimen: 'Specimen', block: 'Block', tumour_type: 'Tumour type', antibody: 'Antibody', platform: 'Platform', scanner: 'Scanner' };
const LONGEST = 120, LONGEST_COMMENT = 1000;

export class SpecimenForm {
  /** edit(change, delay). */
  constructor(edit) {
    const take = (name) => (event) => edit({ op: 'set', values: { [name]: event.target.value } }, TYPING_MS);
    this.fields = Object.fromEntries(Object.keys(LINES).map((name) => [name, el('input', { type: 'text', maxlength: LONGEST, name, autocomplete: 'off', oninput: take(name) })]));
    this.fields.comment = el('textarea', { maxlength: LONGEST_COMMENT, rows: 3, name: 'comment', oninput: take('comment') });
    this.set = el('fieldset', {}, ...Object.entries({ ...LINES, comment: 'Comment' }).map(([name, text]) => el('label', { class: 'nv-ask' }, el('span', {}, text), this.fields[name])));
    this.given = el('span', { class: 'nv-given' });
    this.node = el('details', { class: 'nv-section nv-specimen' }, el('summary', {}, 'Specimen ', this.given), this.set);
    for (const [name, field] of Object.entries(this.fields)) field.addEventListener('blur', () => { if (this.sheet) field.value = this.sheet[name]; });
  }

  show(sheet, locked) {
    this.sheet = sheet;
    this.set.disabled = locked;
    for (const [name, field] of Object.entries(this.fields)) if (field !== document.activeElement && field.value !== sheet[name]) field.value = sheet[name];
    this.given.textContent = [sheet.specimen, sheet.block, sheet.tumour_type].filter(Boolean).join(' · ');
  }
}
