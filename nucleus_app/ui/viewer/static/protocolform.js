// What a reader chooses and fills in so that fields become a score: the protocol, and what it asks for.

import { el, refill } from './element.js';
import { CATEGORIES, PROTOCOLS, isGlobal, isHotSpot, sumShares } from './sheet.js';
import { TYPING_MS } from './casestore.js';

const ANSWERS = [['', 'not given'], ['yes', 'yes'], ['no', 'no']];
const MOST_MITOSES = 10_000, TARGETS = [500, 2000];

export class ProtocolForm {
  /** edit(sheet → sheet, delay). */
  constructor(edit) {
    Object.assign(this, { edit, shown: '' });
    this.select = el('select', { id: 'protocol', onchange: () => edit((sheet) => ({ ...sheet, protocol: this.select.value })) },
      ...Object.entries(PROTOCOLS).map(([name, title]) => el('option', { value: name }, title)));
    this.node = el('label', { class: 'nv-protocol' }, el('span', {}, 'Protocol'), this.select);
    this.inputs = el('fieldset', { class: 'nv-asks', 'aria-label': 'What the protocol asks for' });
  }

  show(sheet, state) {
    const locked = Boolean(state.signature);
    this.select.value = sheet.protocol;
    this.select.disabled = this.inputs.disabled = locked;
    const allotted = state.score.allotted, counts = state.fields.map(({ role }) => role);
    // What she types is in the node already: built anew only for what she does not type.
    const shown = JSON.stringify([state.id, sheet.protocol, sheet.well_differentiated, sheet.target, document.activeElement?.closest('.nv-asks') === this.inputs ? null : [sheet.mitoses_per_2mm2, sheet.shares]]);
    this.inputs.hidden = sheet.protocol === 'index only';
    if (shown !== this.shown) refill(this.inputs, ...this.build(sheet));
    this.shown = shown;
    if (isGlobal(sheet.protocol)) this.showShares(sheet.shares, allotted, counts);
  }

  build(sheet) {
    const parts = [];
    if (sheet.protocol === 'net hot spot') parts.push(this.grade(sheet), this.mitoses(sheet));
    if (isHotSpot(sheet.protocol)) parts.push(this.target(sheet));
    if (isGlobal(sheet.protocol)) parts.push(this.shares(sheet));
    return parts;
  }

  grade({ well_differentiated: said }) {
    const chosen = said === null ? '' : said ? 'yes' : 'no';
    const select = el('select', { id: 'differentiated', 'data-key': 'differentiated', onchange: (e) => this.edit((sheet) => ({ ...sheet, well_differentiated: e.target.value ? e.target.value === 'yes' : null })) },
      ...ANSWERS.map(([value, text]) => el('option', { value, selected: value === chosen }, text)));
    return row('Well differentiated', select);
  }

  mitoses({ mitoses_per_2mm2: n }) {
    const input = el('input', { type: 'text', inputmode: 'decimal', id: 'mitoses', 'data-key': 'mitoses', value: n ?? '', placeholder: 'not given', autocomplete: 'off' });
    return row('Mitoses per 2 mm²', this.onNumber(input, MOST_MITOSES, (value) => (sheet) => ({ ...sheet, mitoses_per_2mm2: value })));
  }

  target({ target }) {
    const select = el('select', { id: 'target', 'data-key': 'target', onchange: (e) => this.edit((sheet) => ({ ...sheet, target: Number(e.target.value) })) },
      ...[...new Set([...TARGETS, target])].map((n) => el('option', { value: n, selected: n === target }, `${n.toLocaleString('en-US')} tumour nuclei`)));
    return row('Count at least', select);
  }

  shares({ shares }) {
    this.total = el('p', { class: 'nv-sum', role: 'status' });
    return el('div', { class: 'nv-shares', role: 'group', 'aria-label': 'Share of the invasive tumour area in each category, percent' },
      el('p', {}, 'Share of the tumour area, %'),
      el('div', { class: 'nv-four' }, ...CATEGORIES.map((category) => {
        const input = el('input', { type: 'text', inputmode: 'decimal', 'data-key': `share-${category}`, 'data-share': category, 'aria-label': category, value: shares?.[category] || '', placeholder: '0', autocomplete: 'off' });
        this.onNumber(input, 100, (value) => (sheet) => ({ ...sheet, shares: wholeOrNull({ ...sheet.shares, [category]: value ?? 0 }) }));
        return el('label', {}, el('span', {}, category), input, el('small', { 'data-have': category }));
      })),
      this.total);
  }

  /** Sum, and how many fields of each category are counted of those allotted to it. */
  showShares(shares, allotted, counts) {
    const sum = sumShares(shares), isWhole = Math.abs(sum - 100) < 1e-6;
    const asked = isWhole ? new Map(allotted) : new Map();
    this.total.className = `nv-sum${isWhole || !shares ? '' : ' nv-wrong'}`;
    const plan = [...asked].map(([category, n]) => `${category} ${n}`).join(', ');
    this.total.textContent = !shares ? 'Estimate the shares at low power; fields are allotted by them.'
      : isWhole ? `100 %. Fields to count: ${plan || '…'}.` : `${sum} % of 100 %`;
    for (const category of CATEGORIES) {
      const node = this.inputs.querySelector(`[data-have="${category}"]`), need = asked.get(category), have = counts.filter((role) => role === category).length;
      node.textContent = need ? `${have} of ${need}` : '';
      node.className = need && have >= need ? 'nv-done' : '';
    }
  }

  /** A text field for a number from 0 to most; empty is null. What is no such number is marked, and not sent. */
  onNumber(input, most, change) {
    input.addEventListener('input', () => {
      const text = input.value.trim().replace(',', '.'), value = text === '' ? null : Number(text);
      const isWrong = value !== null && !(value >= 0 && value <= most);
      input.setAttribute('aria-invalid', isWrong);
      if (!isWrong) this.edit(change(value), TYPING_MS);
    });
    return input;
  }
}

function wholeOrNull(shares) {
  const all = Object.fromEntries(CATEGORIES.map((category) => [category, shares[category] ?? 0]));
  return sumShares(all) === 0 ? null : all;
}

function row(text, input) {
  return el('label', { class: 'nv-ask' }, el('span', {}, text), input);
}
