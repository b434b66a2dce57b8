// The score of a case in words and numbers: what the report will say. Nothing here can be changed.

import { el } from './element.js';
import { area, number, percent, plural, range } from './numbers.js';
import { isGlobal, isUsed } from './sheet.js';

const SHORT = 7; // letters of a class that go into a large badge

/** How an interval was found, as short as the line is: "Wilson score, 95 %" → "Wilson score". */
const methodOf = ({ method }) => method.replace(/,? ?95 %/, '');

/** A class as a badge; amber where the interval reaches over a cut-off. */
function badge(name, isUnsettled = false) {
  return el('span', { class: `nv-badge${isUnsettled ? ' nv-amber' : ''}${name.length > SHORT ? ' nv-long' : ''}` }, name);
}

/** The big number with all that belongs to it. */
export function describeScore(state) {
  const { score, rule: { cutoffs } } = state, { primary } = score;
  if (!primary) return [describeBusy(state), el('p', { class: 'nv-missing' }, score.missing)];
  const { sparse } = score, unsettled = score.unsettled.length > 0;
  return [
    describeBusy(state),
    el('p', { class: `nv-index${sparse ? ' nv-sparse' : ''}` }, el('span', { class: 'nv-value' }, primary.shown), ' %',
      score.class_name ? badge(score.class_name, unsettled) : null, el('span', { class: 'nv-name' }, primary.name)),
    el('p', { class: 'nv-interval' }, `95 % interval ${range(primary.low_percent, primary.high_percent, cutoffs)} %`, el('span', { class: 'nv-method' }, ` (${methodOf(primary)})`)),
    score.note ? el('p', { class: 'nv-note' }, score.note) : null,
    el('p', { class: 'nv-counts' }, el('strong', {}, number(primary.positive)), ' positive of ', el('strong', {}, number(primary.tumour)), ' tumour nuclei'),
    describeNetwork(state),
    describeProgress(state),
    score.class_text && state.sheet.protocol !== 'index only' ? el('p', { class: 'nv-class-text' }, score.class_text) : null,
    unsettled ? el('p', { class: 'nv-advice' }, score.advice) : null,
  ];
}

function describeBusy({ images, busy }) {
  const n = images.filter(({ state }) => state === 'queued' || state === 'running').length;
  return busy ? el('p', { class: 'nv-busy' }, n === 1 ? '1 image is still being scored.' : `${number(n)} images are still being scored.`) : null;
}

/** What the network alone counted in the same fields, where that is something else; imports are none of its work. */
function describeNetwork({ sheet, fields, rule, score: { primary } }) {
  const counted = fields.filter((field) => isUsed(sheet, field) && field.tallies), used = counted.filter(({ network }) => network);
  const imported = counted.filter((field) => field.is_imported).length;
  if (imported) return el('p', { class: 'nv-network' }, imported === counted.length ? 'Imported annotations' : `Imported annotations in ${imported} of ${plural(counted.length, 'field')}`);
  const positive = used.reduce((sum, { network }) => sum + network[0], 0), tumour = used.reduce((sum, { network }) => sum + network[0] + network[1], 0);
  if (positive === primary.positive && tumour === primary.tumour) return null;
  return el('p', { class: 'nv-network' }, `Network alone: ${number(positive)} of ${number(tumour)}${tumour ? ` (${percent((100 * positive) / tumour, rule.cutoffs)} %)` : ''}`);
}

function describeProgress({ score: { counted, target }, sheet: { protocol } }) {
  if (protocol === 'index only') return null;
  const text = `${number(counted)} of ${number(target)} tumour nuclei counted`;
  return el('p', { class: 'nv-progress' }, el('progress', { value: Math.min(counted, target), max: target, 'aria-label': text }), el('span', {}, `${number(counted)} of ${number(target)}`));
}

/** Below the number: other scores, differences, the rule. */
export function describeMore({ score, rule, sheet }) {
  const rows = score.others.map((other) => [other.name, `${other.shown} %`, range(other.low_percent, other.high_percent, rule.cutoffs), `${number(other.positive)} of ${number(other.tumour)}`]);
  const difference = score.hot_spot_minus_average === null ? null : Math.round(10 * score.hot_spot_minus_average) / 10, between = score.between_fields;
  const facts = [
    difference === null ? null : `Hot spot minus average: ${difference < 0 ? '−' : '+'}${percent(Math.abs(difference))} percentage points; it was chosen for being the highest.`,
    between ? `Between fields: ${range(...between, rule.cutoffs)} % (fields drawn anew).` : null,
  ].filter(Boolean);
  return [
    rows.length ? el('table', { class: 'nv-others', 'aria-label': 'Other scores' }, el('tbody', {}, ...rows.map(([name, shown, interval, counts]) =>
      el('tr', {}, el('th', { scope: 'row' }, name), el('td', {}, el('strong', {}, shown), el('small', {}, interval)), el('td', {}, counts))))) : null,
    ...facts.map((fact) => el('p', { class: 'nv-fact' }, fact)),
    el('details', { class: 'nv-rule' }, el('summary', {}, `Rule: ${rule.title}`), el('p', {}, rule.text),
      isGlobal(sheet.protocol) ? el('p', {}, 'A category is low, medium or high by the eye: the share of positive nuclei in that part of the tumour.') : null),
  ];
}

/** One field's own numbers in one line, and why there are none. */
export function describeField({ tallies, area_mm2: mm2 }) {
  const size = mm2 === null || mm2 === undefined ? '' : area(mm2);
  const counts = tallies ? `${number(tallies.positive)} of ${number(tallies.positive + tallies.negative)}` : 'not counted';
  return [counts, size].filter(Boolean).join(' · ');
}

/** The list of warnings, or null. Long lists end in how many more there are. */
export function listWarnings(warnings) {
  return warnings.length ? el('ul', { class: 'nv-warnings' }, ...warnings.map((text) => el('li', {}, text))) : null;
}

export const countWarnings = (n) => (n ? plural(n, 'warning') : 'no warning');
