// Where a slide is brown at low power: the map over it, and the brownest places. Fetched when it is first asked for.

import { button, el, setText } from './element.js';
import { isSame } from './changes.js';
import { ask } from './http.js';

const TIMEOUT_MS = 120_000; // the first look at a large slide
const WORDS = 'How much of the stain is brown, more than in the palest tissue of this slide, at low power. No count and no index: look for yourself.';

export class BrownCard {
  /** handlers: size() → mm² of the places, taken() → how many fields were cut, onMap(map or null), onSpot(box). */
  constructor(base, handlers) {
    Object.assign(this, { base, handlers, slide: null, map: null, turn: 0 });
    this.box = el('input', { type: 'checkbox', 'data-brown': '', onchange: () => this.toggle() });
    this.said = el('p', { class: 'nv-hint', role: 'status' });
    this.list = el('ol', { class: 'nv-picks', 'aria-label': 'Brownest places' });
    this.node = el('section', { class: 'nv-card', 'aria-label': 'Brown at low power' }, el('h3', {}, 'Brown at low power'),
      el('label', { class: 'nv-check' }, this.box, 'Show where the slide is brown'), el('p', { class: 'nv-hint' }, WORDS), this.said, this.list);
  }

  /** Of another slide nothing is known yet. */
  open(slide) {
    if (slide.id === this.slide?.id) return this.showMap();
    Object.assign(this, { slide, map: null, turn: this.turn + 1 });
    this.box.checked = false;
    setText(this.said, '');
    this.list.replaceChildren();
  }

  toggle() {
    this.showMap();
    if (this.box.checked) this.look();
  }

  /** Places of another size are wanted, or one of them was taken. */
  again() {
    if (this.box.checked) this.look();
  }

  async look() {
    const { slide } = this, turn = ++this.turn, asked = `${this.handlers.size()}:${this.handlers.taken()}`;
    if (this.map?.asked === asked) return setText(this.said, '');
    setText(this.said, 'Looking at the slide…');
    try {
      const map = await ask(`${this.base}nucleus/api/slides/${slide.id}/brown?mm2=${this.handlers.size()}`, { timeout: TIMEOUT_MS });
      if (turn !== this.turn) return;
      this.map = { ...map, asked };
      setText(this.said, map.spots.length ? '' : 'No place is browner than the rest. All of the tissue may be brown, or none.');
      this.list.replaceChildren(...map.spots.map((spot, i) => this.line(spot, i)));
    } catch (error) {
      if (turn !== this.turn) return;
      setText(this.said, error.status ? error.message : 'The server does not answer. Try again.');
      this.box.checked = false;
    }
    this.showMap();
  }

  line({ box, brown }, i) {
    return el('li', {}, el('button', { type: 'button', 'data-spot': i, 'data-box': box, onclick: () => this.handlers.onSpot(box) }, el('span', { class: 'nv-pick-n' }, `${i + 1}`), `${Math.round(100 * brown)} % of the stain`));
  }

  showMap() {
    this.handlers.onMap(this.box.checked ? this.map : null);
  }

  /** Which place is the draft now. */
  mark(draft) {
    for (const line of this.list.querySelectorAll('button')) line.setAttribute('aria-pressed', Boolean(draft) && isSame(line.dataset.box.split(',').map(Number), draft));
  }
}
