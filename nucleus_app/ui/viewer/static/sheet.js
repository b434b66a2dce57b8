// What can be done to a case's sheet (domain/sheet.py): every function takes one and gives a new one. No DOM in here.

/** In the order of the select; the titles are those of domain/rules.py, which a test compares. */
export const PROTOCOLS = {
  'index only': 'Index only',
  'net hot spot': 'NET hot spot',
  'breast global': 'Breast global, unweighted',
  'breast weighted': 'Breast global, weighted',
  'breast hot spot': 'Breast hot spot',
};
export const CATEGORIES = ['negligible', 'low', 'medium', 'high'];
export const HPF_MM2 = 0.2; // a high-power field
const PER_FIELD = 100; // tumour nuclei in each field of a global score
const FIELD = 'field', HOT_SPOT = 'hot spot';

export const isHotSpot = (protocol) => protocol === 'net hot spot' || protocol === 'breast hot spot';
export const isGlobal = (protocol) => protocol === 'breast global' || protocol === 'breast weighted';

/** The roles that mean something under a protocol. */
export function rolesOf(protocol) {
  if (isHotSpot(protocol)) return [HOT_SPOT, FIELD];
  return isGlobal(protocol) ? [...CATEGORIES, HOT_SPOT, FIELD] : [FIELD];
}

/** Whether a field counts in the protocol's own score. */
export function isUsed({ protocol, fields, shares }, { role }) {
  if (protocol === 'breast weighted') return CATEGORIES.includes(role) && (!shares || shares[role] > 0);
  if (isHotSpot(protocol)) return role === HOT_SPOT || fields.every((field) => field.role !== HOT_SPOT);
  return !isGlobal(protocol) || role !== HOT_SPOT;
}

/** How many tumour nuclei a field is to hold; null under a protocol that does not say. */
export function nucleiAsked({ protocol, target }) {
  return isGlobal(protocol) ? PER_FIELD : isHotSpot(protocol) ? target : null;
}

/** What a new field stands for: in a global score the first category that still lacks one. allotted: [[role, n], …]. */
export function roleForNew({ protocol, fields }, allotted) {
  if (isHotSpot(protocol)) return HOT_SPOT;
  if (!isGlobal(protocol)) return FIELD;
  const lacking = allotted.find(([role, n]) => fields.filter((field) => field.role === role).length < n);
  return lacking ? lacking[0] : FIELD;
}

/** A field that can be put on a sheet: with a number of its own, and a name where it is a part of an image. */
export function planField(sheet, { image, role, box }) {
  const id = sheet.fields.reduce((most, other) => Math.max(most, other.id), 0) + 1, field = { id, image, name: '', role, box };
  const fields = putField(sheet, field).sheet.fields.filter((other) => other !== field); // without a whole image that gives way to it
  return box ? { ...field, name: nameFor({ fields }, role) } : field;
}

/** The sheet with one field more, and the whole image that gave way to it: its nuclei would count twice. */
export function putField(sheet, added) {
  const after = { ...sheet, fields: [...sheet.fields, added] }, pooled = { ...after, protocol: isGlobal(sheet.protocol) ? 'breast global' : sheet.protocol };
  const gone = added.box ? sheet.fields.find((field) => field.image === added.image && !field.box && isUsed(pooled, field) && isUsed(pooled, added)) : undefined;
  return { sheet: gone ? { ...after, fields: after.fields.filter((field) => field !== gone) } : after, gone };
}

/** A field without a name is called by its place on the sheet, here as in the report. */
export const nameOf = ({ name }, i) => name || `Field ${i + 1}`;

function nameFor({ fields }, role) {
  const noun = role === FIELD ? 'Field' : role === HOT_SPOT ? 'Hot spot' : `${role[0].toUpperCase()}${role.slice(1)}`;
  const taken = new Set(fields.map(nameOf));
  let n = role === FIELD ? fields.length + 1 : 1;
  while (taken.has(`${noun} ${n}`)) n++;
  return `${noun} ${n}`;
}

export function changeField(sheet, id, change) {
  return { ...sheet, fields: sheet.fields.map((field) => (field.id === id ? { ...field, ...change } : field)) };
}

export function removeField(sheet, id) {
  return { ...sheet, fields: sheet.fields.filter((field) => field.id !== id) };
}

/** A field that was removed, at its place again. */
export function restoreField(sheet, field, at) {
  return { ...sheet, fields: [...sheet.fields.slice(0, at), field, ...sheet.fields.slice(at)] };
}

/** In front of another field; null: at the end. */
export function placeField(sheet, id, before) {
  const moved = sheet.fields.find((field) => field.id === id), rest = sheet.fields.filter((field) => field !== moved);
  const at = before === null ? rest.length : rest.findIndex((field) => field.id === before);
  return moved && at >= 0 ? { ...sheet, fields: [...rest.slice(0, at), moved, ...rest.slice(at)] } : sheet;
}

/** What a field stands in front of (placeField) when it goes to place `to`, counted from 0. */
export function beforeAt({ fields }, id, to) {
  return fields.filter((field) => field.id !== id)[to]?.id ?? null;
}

/** Sum of the shares; parts of a percent may not be exact in binary. */
export function sumShares(shares) {
  return Math.round(CATEGORIES.reduce((sum, category) => sum + (shares?.[category] ?? 0), 0) * 1e6) / 1e6;
}
