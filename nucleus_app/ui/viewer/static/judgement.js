// What the judge found: candidate against incumbent, number by number, and the reasons, in plain words.

import { el, shape } from './element.js';
import { outcomeOf } from './lessonwords.js';
import { number, plural } from './numbers.js';

const CLASS_ROWS = { positive: 'Immunopositive tumour', negative: 'Immunonegative tumour', other: 'Non-tumour' };
/** digits; least: a change that counts where there is no interval to go by. */
const F1 = { digits: 3, least: 0.01 }, INDEX = { digits: 1, least: 0.5, lessIsBetter: true }, CALIBRATION = { digits: 3, least: 0.01, lessIsBetter: true };
const PLOT = { width: 92, height: 16, room: 6 };

/** verdict: of domain/learning.py. run: its lesson. */
export function describeVerdict(verdict, run) {
  const state = verdict?.state ?? run.state, [mark, word] = outcomeOf(state);
  return [
    el('p', { class: `nv-outcome nv-outcome-${state}` }, el('span', { class: 'nv-mark', 'aria-hidden': 'true' }, mark), el('span', {}, el('strong', {}, word[0].toUpperCase() + word.slice(1)), '. ', verdict?.sentence ?? run.error ?? run.sentence ?? '')),
    verdict?.reasons.length ? el('div', { class: 'nv-reasons' }, el('h4', {}, state === 'undecided' ? 'What is missing, and what speaks against it' : 'Why not'), el('ul', {}, ...verdict.reasons.map((text) => el('li', {}, text)))) : null,
    verdict?.locked ? compare(`On ${plural(verdict.cases, 'locked case')} of this lab`, 'Signed cases that never teach: they only judge.', verdict.locked) : null,
    verdict?.regression ? more(compare('On the shipped test fields', 'Synthetic fields of many stains, so that nothing learned before is forgotten.', verdict.regression)) : null,
    Number.isFinite(verdict?.lesson_agreement) ? el('p', { class: 'nv-hint' }, `Its own lesson: of the tumour nuclei in it that it finds, it calls ${Math.round(100 * verdict.lesson_agreement)} % positive or negative as taught.`) : null,
  ].filter(Boolean);
}

function more(table) {
  const [title, ...rest] = table.children;
  return el('details', { class: 'nv-rule' }, el('summary', {}, title.textContent), ...rest);
}

/** The table: every number before and after, with what changed. */
function compare(title, hint, comparison) {
  const rows = [
    ['Nuclei found and placed', comparison.detection_f1, F1], ['Class right as well', comparison.weighted_f1, F1],
    ...Object.entries(CLASS_ROWS).map(([slug, name]) => [name, comparison.class_f1[slug], F1, true]),
    ['Error of the index, % points', comparison.index_error, INDEX], ['Gap of confidence to truth', comparison.calibration, CALIBRATION],
  ].filter(([, difference]) => difference);
  const reach = Math.max(0.01, ...rows.filter(([, , { lessIsBetter }]) => !lessIsBetter).flatMap(([, difference]) => bounds(difference)).map(Math.abs));
  return el('div', { class: 'nv-compared' }, el('h4', {}, title), el('p', { class: 'nv-hint' }, `${hint} ${plural(comparison.images, 'image')}, ${number(comparison.nuclei)} nuclei. Nuclei and classes as F1: 1 is perfect, 0 is none right. Of error and gap, less is better. In brackets the 90 % interval of the change.`),
    el('table', { class: 'nv-compare' },
      el('thead', {}, el('tr', {}, ...['', 'Before', 'After', 'Change', '', 'Verdict'].map((text, i) => el(text ? 'th' : 'td', { scope: text ? 'col' : null, class: text || !i ? null : 'nv-plot' }, text)))),
      el('tbody', {}, ...rows.map((row) => compareRow(row, reach)))));
}

function compareRow([name, difference, kind, isPart], reach) {
  const [before, after, low, high] = difference, { digits } = kind, [mark, word] = judge(difference, kind);
  const interval = hasInterval(difference) ? el('small', {}, ` (${signed(low, digits)} to ${signed(high, digits)})`) : null, slug = word.replaceAll(' ', '-');
  return el('tr', { class: isPart ? 'nv-part' : null }, el('th', { scope: 'row' }, name), el('td', {}, before.toFixed(digits)), el('td', {}, el('strong', {}, after.toFixed(digits))), el('td', {}, signed(after - before, digits), interval),
    el('td', { class: 'nv-plot' }, hasInterval(difference) && !kind.lessIsBetter ? plot(difference, reach, slug) : null),
    el('td', { class: `nv-change nv-change-${slug}` }, el('span', { class: 'nv-mark', 'aria-hidden': 'true' }, mark), word));
}

/** Better and worse only where the interval says so, or where it is plain to see. */
function judge(difference, { least, lessIsBetter }) {
  const [before, after, low, high] = difference, sign = lessIsBetter ? -1 : 1, gain = sign * (after - before);
  const isSure = hasInterval(difference) ? low > 0 || high < 0 : Math.abs(gain) >= least;
  if (!isSure) return ['≈', 'no clear change'];
  return gain > 0 ? ['▲', 'better'] : ['▼', 'worse'];
}

const hasInterval = ([, , low, high]) => Number.isFinite(low) && Number.isFinite(high);
const bounds = (difference) => (hasInterval(difference) ? difference.slice(2, 4) : [difference[1] - difference[0]]);
const signed = (value, digits) => { const text = Math.abs(value).toFixed(digits); return Number(text) ? `${value < 0 ? '−' : '+'}${text}` : text; };

/** The change and its interval on a line around nothing; the cell beside says the same in words. */
function plot([before, after, low, high], reach, slug) {
  const { width, height, room } = PLOT, middle = width / 2, y = height / 2, at = (value) => (middle + ((width / 2 - room) * value) / reach).toFixed(1);
  return shape('svg', { class: `nv-interval-plot nv-plot-${slug}`, width, height, viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true' },
    shape('line', { x1: middle + 0.5, x2: middle + 0.5, y1: 0, y2: height, class: 'nv-zero' }),
    shape('line', { x1: at(low), x2: at(high), y1: y, y2: y, class: 'nv-whisker' }),
    shape('circle', { cx: at(after - before), cy: y, r: 3.5 }));
}
