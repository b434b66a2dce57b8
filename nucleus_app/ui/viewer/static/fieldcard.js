// The card of a case's fields: the list, and the ways to add one.

import { button, el, setText } from './element.js';
import { number } from './numbers.js';
import { nucleiAsked } from './sheet.js';

export class FieldCard {
  /** handlers: onWhole(), onDrag(), onSquare(), onHolding(), onFind(). table, hotSpots: their nodes. */
  constructor(handlers, table, hotSpots) {
    this.title = el('h3', {}, 'Fields');
    this.saved = el('span', { class: 'nv-case-saved', role: 'status' });
    this.whole = button('Whole image', () => handlers.onWhole(), { title: 'Count all of the open image as one field' });
    this.dragging = button('Drag a field', () => handlers.onDrag(), { 'data-add': 'drag' });
    this.square = button('0.2 mm² in view', () => handlers.onSquare(), { title: 'A square high-power field in the middle of the view' });
    this.holding = button('', () => handlers.onHolding(), { title: 'The smallest square in the middle of the view that holds so many, as the protocol asks' });
    this.find = button('Find hot spots', () => handlers.onFind(), { title: 'Where in the open image is labelling highest?' });
    this.plain = el('p', { class: 'nv-hint' });
    this.adds = el('div', { class: 'nv-row nv-adds', role: 'group', 'aria-label': 'Add a field' }, this.dragging, this.find, this.square, this.holding, this.whole);
    Object.assign(this, { table, node: el('section', { class: 'nv-fields', 'aria-label': 'Fields' }, el('div', { class: 'nv-fields-head' }, this.title, this.saved), this.plain, table, this.adds, hotSpots) });
  }

  /** context: { isSimple, isSigned, hasWhole, isScored, hasScale, tool, key of the drag or '', saved: { isDirty, failing, savedAt } }. */
  show(sheet, { isSimple, isSigned, hasWhole, isScored, hasScale, tool, key, saved }) {
    const asked = nucleiAsked(sheet);
    this.title.textContent = isSimple ? 'Fields' : `Fields (${sheet.fields.length})`;
    this.plain.hidden = !isSimple && sheet.fields.length > 0;
    this.plain.textContent = isSimple ? 'The whole image is counted. A field takes its place.' : 'No field yet: add one of the open image.';
    this.table.hidden = isSimple;
    this.dragging.disabled = isSigned;
    this.dragging.title = `Drag a rectangle on the image${key ? ` (${key})` : ''}`;
    this.whole.disabled = isSigned || hasWhole;
    this.square.disabled = isSigned || !hasScale;
    this.holding.hidden = asked === null;
    setText(this.holding, `${number(asked ?? 0)} nuclei in view`);
    this.holding.disabled = isSigned || !isScored;
    this.find.disabled = !isScored; // looking is allowed in a signed case
    this.dragging.setAttribute('aria-pressed', tool === 'field');
    setText(this.saved, saved.failing ? 'not saved yet' : saved.isDirty ? 'saving…' : saved.savedAt ? `saved ${saved.savedAt.toLocaleTimeString('en-GB')}` : '');
    this.saved.classList.toggle('nv-unsaved', saved.failing);
  }
}
