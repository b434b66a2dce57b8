// What a reader chooses and fills in so that fields become a score: the protocol, and what it asks for.

import { el, refill, setText } from './element.js';
import { number, readNumber } from './numbers.js';
import { CATEGORIES, PROTOCOLS, isGlobal, isHotSpot, sumShares } from './sheet.js';
import { TYPING_MS } from './casestore.js';

const ANSWERS = [['', 'not given'], ['yes', 'yes'], ['no', 'no']];
const MOST_MITOSES = 10_000, TARGETS = [500, 2000];

export class ProtocolForm {
  /** edit(change, delay). */
  constructor(edit) {
    Object.assign(this, { edit, shown: '', fills: [] });
    this.select = el('select', { id: 'protocol', onchange: () => this.set({ protocol: this.select.value }) },
      ...Object.entries(PROTOCOLS).map(([name, title]) => el('option', { value: name }, title)));
    this.node = el('label', { class: 'nv-protocol' }, el('span', {}, 'Protocol'), this.select);
    this.hint = el('p', { class: 'nv-typed-wrong', role: 'alert', hidden: true });
    this.inputs = el('fieldset', { class: 'nv-asks', 'aria-label': 'What the protocol asks for' });
  }

  set(values) {
    this.edit({ op: 'set', values });
  }

  show(sheet, state) {
    const locked = Boolean(state.signature), { protocol } = sheet;
    this.sheet = sheet;
    this.select.value = protocol;
    this.select.disabled = this.inputs.disabled = locked;
    this.inputs.hidden = protocol === 'index only';
    const shown = `${state.id}:${protocol}`;
    if (shown !== this.shown) this.build(protocol);
    this.shown = shown;
    for (const fill of this.fills) fill(sheet);
    if (isGlobal(protocol)) this.showShares(sheet.shares, state.score.allotted, state.fields.map(({ role }) => role));
  }

  /** Inputs of a protocol; this.fills puts a sheet's values into those that nobody types in. */
  build(protocol) {
    const parts = [];
    this.fills = [];
    if (protocol === 'net hot spot') parts.push(this.grade(), this.mitoses());
    if (isHotSpot(protocol)) parts.push(this.target());
    this.say('');
    refill(this.inputs, isGlobal(protocol) ? this.shares() : el('div', { class: `nv-asked nv-asked-${parts.length}` }, ...parts), this.hint);
  }

  grade() {
    const select = el('select', { id: 'differentiated', 'data-key': 'differentiated', onchange: (e) => this.set({ well_differentiated: e.target.value ? e.target.value === 'yes' : null }) },
      ...ANSWERS.map(([value, text]) => el('option', { value }, text)));
    this.fills.push(({ well_differentiated: said }) => { select.value = said === null ? '' : said ? 'yes' : 'no'; });
    return ask('Well differentiated', select);
  }

  mitoses() {
    const input = el('input', { type: 'text', inputmode: 'decimal', id: 'mitoses', 'data-key': 'mitoses', placeholder: 'not given', autocomplete: 'off' });
    return ask('Mitoses per 2 mm²', this.onNumber(input, { most: MOST_MITOSES, get: (sheet) => sheet.mitoses_per_2mm2 ?? '', change: (value) => ({ op: 'set', values: { mitoses_per_2mm2: value } }) }));
  }

  target() {
    const select = el('select', { id: 'target', 'data-key': 'target', title: 'Tumour nuclei to count', onchange: (e) => this.set({ target: Number(e.target.value) }) });
    this.fills.push(({ target }) => {
      if (![...select.options].some(({ value }) => Number(value) === target)) select.replaceChildren(...[...new Set([...TARGETS, target])].map((n) => el('option', { value: n }, number(n))));
      select.value = target;
    });
    return ask('Count at least', select);
  }

  shares() {
    this.total = el('p', { class: 'nv-sum', role: 'status' });
    this.have = new Map(CATEGORIES.map((category) => [category, el('small', { 'data-have': category })]));
    return el('div', { class: 'nv-shares', role: 'group', 'aria-label': 'Share of the invasive tumour area in each category, percent' },
      el('p', {}, 'Share of the tumour area, %'),
      el('div', { class: 'nv-four' }, ...CATEGORIES.map((category) => {
        const input = el('input', { type: 'text', inputmode: 'decimal', 'data-key': `share-${category}`, 'data-share': category, 'aria-label': category, placeholder: '0', autocomplete: 'off' });
        this.onNumber(input, { most: 100, unit: '%', get: (sheet) => sheet.shares?.[category] || '', change: (value) => ({ op: 'share', category, value: value ?? 0 }) });
        return el('label', {}, el('span', {}, category), input, this.have.get(category));
      })),
      this.total);
  }

  /** Sum, and how many fields of each category are counted of those allotted to it. */
  showShares(shares, allotted, counts) {
    const sum = sumShares(shares), isWhole = Math.abs(sum - 100) < 1e-6;
    const asked = isWhole ? new Map(allotted) : new Map();
    this.total.className = `nv-sum${isWhole || !shares ? '' : ' nv-wrong'}`;
    const plan = [...asked].map(([category, n]) => `${category} ${n}`).join(', ');
    setText(this.total, !shares ? 'Estimate the shares at low power; fields are allotted by them.'
      : isWhole ? `100 %. Fields to count: ${plan || '…'}.` : `${sum} % of 100 %`);
    for (const [category, node] of this.have) {
      const need = asked.get(category), have = counts.filter((role) => role === category).length;
      setText(node, need ? `${have} of ${need}` : '');
      node.className = need && have >= need ? 'nv-done' : '';
    }
  }

  /** A text field for a number. What is none is marked, told, and not sent; left so, the field shows what counts again. */
  onNumber(input, { most, unit, get, change }) {
    const fill = (sheet) => {
      if (input === document.activeElement) return;
      input.value = get(sheet);
      input.removeAttribute('aria-invalid');
    };
    input.addEventListener('input', () => {
      const { value, hint } = readNumber(input.value, most, unit);
      input.setAttribute('aria-invalid', Boolean(hint));
      this.say(hint ?? '');
      if (!hint) this.edit(change(value), TYPING_MS);
    });
    input.addEventListener('blur', () => {
      if (input.getAttribute('aria-invalid') === 'true') this.say(`${this.hint.textContent} It was not taken.`);
      setTimeout(() => fill(this.sheet)); // the focus is elsewhere then
    });
    this.fills.push(fill);
    return input;
  }

  say(text) {
    setText(this.hint, text);
    this.hint.hidden = !text;
  }
}

function ask(text, input) {
  return el('label', { class: 'nv-above' }, el('span', {}, text), input);
}
