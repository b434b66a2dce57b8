// The slides that fields can be chosen on: a line each above the list of cases, and the picker that a line opens.

import { el } from './element.js';
import { ask } from './http.js';
import { plural } from './numbers.js';
import { Poll } from './poll.js';
import { SlideDesk } from './slidedesk.js';

const PAUSE_MS = 8000, LOST_MS = 2500;

export class Slides {
  /** host: the viewer's root. handlers: onImage(image), onChanged() when there are new images. */
  constructor(host, base, handlers) {
    Object.assign(this, { url: `${base}nucleus/api/slides`, known: '' });
    this.list = el('div', { class: 'nv-list' });
    this.node = el('section', { class: 'nv-cases nv-slides', 'aria-label': 'Slides', hidden: true }, el('h3', {}, 'Slides'), this.list);
    this.poll = new Poll((isCurrent) => this.refresh(isCurrent), () => (this.isLost && this.desk.isOpen ? LOST_MS : PAUSE_MS));
    this.desk = new SlideDesk(host, base, { ...handlers, poll: () => this.poll.now() });
    this.desk.node.addEventListener('close', () => this.focusBack());
    this.poll.start();
    this.desk.start();
  }

  /** Choose fields of a slide: one that was just dropped, too. */
  open(id) {
    this.desk.open(id);
  }

  async refresh(isCurrent) {
    try {
      const { slides, max_megapixels: most } = await ask(this.url);
      if (!isCurrent()) return;
      this.isLost = false;
      this.show(slides);
      this.desk.onList(slides, most);
    } catch (error) {
      if (!isCurrent()) return;
      this.isLost = true;
      this.desk.onLost(error);
    }
  }

  showImages(images) {
    this.desk.onImages(images);
  }

  show(slides) {
    const lines = slides.map(({ id, label, fields }) => [id, label, fields.length]), known = JSON.stringify(lines);
    if (known === this.known) return;
    this.known = known;
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    this.node.hidden = !slides.length;
    this.list.replaceChildren(...lines.map(([id, label, n]) => el('button', { type: 'button', 'data-id': id, title: `Choose fields of ${label}`, onclick: () => this.open(id) },
      el('span', { class: 'nv-label' }, label), el('span', { class: 'nv-short' }, n ? plural(n, 'field') : 'no field yet'))));
    if (focused) this.lineOf(focused)?.focus();
  }

  lineOf(id) {
    return this.list.querySelector(`[data-id="${CSS.escape(id)}"]`);
  }

  /** The line that opened the picker may have been built anew meanwhile. */
  focusBack() {
    const { activeElement: focused } = document;
    if (focused === document.body || this.desk.node.contains(focused)) this.lineOf(this.desk.id ?? '')?.focus({ preventScroll: true });
  }
}
