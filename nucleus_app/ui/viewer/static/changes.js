// What a reader changes of a sheet, as plain values: they can be kept, and made anew on a sheet that another window changed meanwhile.
// A change that is in the sheet already does nothing. No DOM in here.

import { CATEGORIES, changeField, placeField, planField, putField, removeField, restoreField, sumShares } from './sheet.js';

/** A change that can be made no more; its message says what was not kept. */
class Lost extends Error {}

const OPS = {
  set: (sheet, { values }) => ({ ...sheet, ...values }),
  share: (sheet, { category, value }) => ({ ...sheet, shares: wholeOrNull({ ...sheet.shares, [category]: value }) }),
  field: (sheet, { id, values, name }) => {
    if (!sheet.fields.some((field) => field.id === id)) throw new Lost(`the change of ${name}, which another window removed`);
    return changeField(sheet, id, values);
  },
  add: (sheet, { field }) => (isThere(sheet, field) ? sheet : putField(sheet, field).sheet),
  remove: (sheet, { id }) => removeField(sheet, id),
  restore: (sheet, { field, at }) => (isThere(sheet, field) ? sheet : restoreField(sheet, field, at)),
  place: (sheet, { id, before }) => placeField(sheet, id, before),
};
const NAMES = { well_differentiated: 'differentiation', mitoses_per_2mm2: 'mitoses', tumour_type: 'tumour type', target: 'number to count' };

export function apply(sheet, change) {
  return OPS[change.op](sheet, change);
}

/** Every change in turn on another state of the case: { sheet, kept, lost: what could not be made, in words }. */
export function replay(state, changes) {
  const images = new Set(state.images.map(({ id }) => id)), ids = new Map(), kept = [], lost = [];
  let { sheet } = state;
  for (const old of changes) {
    const change = withId(old, ids, sheet);
    try {
      if (change.field && !images.has(change.field.image)) throw new Lost(`${describe(change)}, whose image is of another case now`);
      sheet = apply(sheet, change);
      kept.push(change);
    } catch (error) {
      lost.push(error instanceof Lost ? error.message : 'a change that was damaged');
    }
  }
  return { sheet, kept, lost };
}

/** Two windows may have given the same number to two fields: the second gets another, in all changes that name it. */
function withId(change, ids, sheet) {
  const { field } = change;
  if (field && sheet.fields.some(({ id }) => id === field.id) && !isThere(sheet, field)) ids.set(field.id, planField(sheet, field).id);
  const known = (id) => ids.get(id) ?? id;
  return { ...change, ...(field ? { field: { ...field, id: known(field.id) } } : {}), ...(change.id ? { id: known(change.id) } : {}), ...(change.before ? { before: known(change.before) } : {}) };
}

/** The later of two changes where it leaves nothing of the earlier one, as while typing; else null. */
export function merge(earlier, later) {
  if (earlier?.op !== later.op || earlier.id !== later.id || earlier.category !== later.category || !['set', 'field', 'share'].includes(later.op)) return null;
  return later.op === 'share' || Object.keys(earlier.values).every((key) => key in later.values) ? later : null;
}

/** In words, for one who must be told that it was not kept. */
export function describe({ op, values, category, field, name }) {
  if (op === 'set') return Object.entries(values).map(([key, value]) => `${NAMES[key] ?? key}${typeof value === 'string' && value ? ` “${value}”` : ''}`).join(', ');
  if (op === 'share') return `the share of ${category}`;
  if (field) return `the field ${field.name || 'of a whole image'}`;
  return { field: `the change of ${name}`, remove: `the removal of ${name}`, place: 'the order of fields' }[op];
}

export const isSame = (a, b) => JSON.stringify(a) === JSON.stringify(b);

function isThere({ fields }, { id, image, box }) {
  return fields.some((field) => field.id === id && field.image === image && isSame(field.box, box));
}

function wholeOrNull(shares) {
  const all = Object.fromEntries(CATEGORIES.map((category) => [category, shares[category] ?? 0]));
  return sumShares(all) === 0 ? null : all;
}
