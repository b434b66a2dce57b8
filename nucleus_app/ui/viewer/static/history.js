// Edits as sentences, for the history list.

import { NOUNS } from './palettes.js';

const REGIONS = { erase: 'erased regions', unreviewed: 'took reviewed area back' };
const nuclei = (n) => `${n.toLocaleString('en-US')} ${n === 1 ? 'nucleus' : 'nuclei'}`;

/** One line on an edit. review: to look up what an undo took back. */
export function describe(edit, review) {
  const { op } = edit;
  if (op.op === 'add') return `added a ${NOUNS[op.c]} nucleus`;
  if (op.op === 'class') return `${nuclei(op.ids.length)} → ${NOUNS[op.c]}`;
  if (op.op === 'delete') return `removed ${nuclei(op.ids.length)}`;
  if (op.op === 'move') return 'moved a nucleus';
  if (op.op === 'cut') return `${NOUNS[op.c]} count from ${op.level.toFixed(2)}`;
  if (op.op === 'region') return REGIONS[op.label] ?? (op.shape === 'cells' ? `accepted the network's ${op.label} regions` : `marked ${op.label}`);
  const target = review.edits.get(op.edit);
  return `${op.op === 'undo' ? 'undid' : 'did again'}: ${target ? describe(target, review) : 'an edit'}`;
}

/** Where an edit happened, in image pixels, or null. */
export function placeOf({ key, op }, review) {
  const { points } = review;
  const at = (i) => (i === undefined ? null : { x: points.xy[2 * i], y: points.xy[2 * i + 1] });
  if (op.op === 'add') return at(review.placed.get(key));
  if (op.op === 'move') return at(review.indexOf(op.id));
  if (op.ids) return at(review.indexOf(op.ids[0]));
  if (op.op === 'region' && op.pts) return { x: op.pts[0], y: op.pts[1] };
  return null;
}
