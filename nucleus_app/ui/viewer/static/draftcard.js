// The field that is being chosen: how large a click makes it, what it measures, and the way to have it cut and scored.

import { button, el, setText } from './element.js';
import { recall, remember } from './memory.js';
import { describeBox, describeMegapixels, megapixelsOf, overlap } from './slidebox.js';
import { number } from './numbers.js';

const SIZES_MM2 = [0.2, 0.5, 1, 2], USUAL_MM2 = 1, SIZE_KEY = 'nucleus:slide-field-mm2';
const HINT = 'Click where a field shall be, or drag one with Shift.';
const HINT_UNSCALED = 'Drag a field with Shift. The slide states no pixel size, so it will be asked for each field.';
const SIGNED = 'The case of this slide is signed off. Reopen it to add fields.';

export class DraftCard {
  /** handlers: onScore(), onDrop(), onMiddle(), onSize(). */
  constructor(handlers) {
    const remembered = Number(recall(SIZE_KEY));
    this.mm2 = SIZES_MM2.includes(remembered) ? remembered : USUAL_MM2;
    this.hint = el('p', { class: 'nv-hint' });
    this.sizes = el('fieldset', { class: 'nv-sizes' }, el('legend', {}, 'A click makes a square of'), ...SIZES_MM2.map((mm2) => el('label', {},
      el('input', { type: 'radio', name: 'nv-slide-mm2', value: mm2, 'aria-label': `${mm2} mm²`, checked: mm2 === this.mm2, onchange: () => { this.mm2 = mm2; remember(SIZE_KEY, mm2); handlers.onSize(); } }), `${mm2}`)), 'mm²');
    this.middle = button('Place in the middle of the view', () => handlers.onMiddle());
    this.size = el('p', { class: 'nv-draft-size' });
    this.note = el('p', { class: 'nv-hint' });
    this.wrong = el('p', { class: 'nv-wrong-now', role: 'alert', hidden: true });
    this.said = el('p', { class: 'nv-said', role: 'status' });
    this.score = button('Score this field', () => handlers.onScore(), { class: 'nv-main', title: 'Enter' });
    this.dropButton = button('Drop it', () => handlers.onDrop(), { title: 'Esc' });
    this.signed = el('p', { class: 'nv-careful', hidden: true }, SIGNED);
    this.node = el('section', { class: 'nv-card nv-draft', 'aria-label': 'Choose a field' }, this.signed, this.hint, this.sizes, this.middle,
      el('div', { class: 'nv-drafted', role: 'group', 'aria-label': 'Chosen field' }, this.size, this.note, el('div', { class: 'nv-row' }, this.score, this.dropButton)), this.wrong, this.said);
  }

  /** draft: box or null; slide: as the server lists it, most: megapixels. Returns whether the draft can be scored. */
  show(draft, slide, most, isSending) {
    const isTooLarge = Boolean(draft) && megapixelsOf(draft) > most, over = draft ? slide.fields.findIndex(({ box }) => overlap(box, draft)) + 1 : 0;
    this.signed.hidden = !slide.signed;
    setText(this.hint, slide.mpp ? HINT : HINT_UNSCALED);
    this.sizes.hidden = !slide.mpp;
    setText(this.size, draft ? describeBox(draft, slide) : 'No field chosen yet.');
    setText(this.note, !draft ? '' : isTooLarge ? `${describeMegapixels(draft)}: a field can have ${number(most)} at most. Choose a smaller one.`
      : `${describeMegapixels(draft)}${over ? `. Overlaps field ${over}: nuclei in both count twice.` : ''}`);
    this.note.classList.toggle('nv-too-large', isTooLarge);
    const isReady = Boolean(draft) && !isTooLarge && !slide.signed && !isSending;
    this.score.disabled = !isReady;
    this.dropButton.disabled = !draft || isSending;
    return isReady;
  }

  say(text) {
    setText(this.said, text);
  }

  /** What went wrong, or ''. */
  tell(wrong) {
    setText(this.wrong, wrong);
    this.wrong.hidden = !wrong;
  }
}
