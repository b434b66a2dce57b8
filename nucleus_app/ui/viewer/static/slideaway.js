// How long a slide stays on the server, and the way to take it off earlier.

import { button, el, refill } from './element.js';
import { when } from './numbers.js';

export class SlideAway {
  /** handlers: onRemove() → what went wrong, or ''. */
  constructor(handlers) {
    Object.assign(this, { handlers, removedAfter: null });
    this.node = el('div', { class: 'nv-away' });
    this.reset();
  }

  reset() {
    Object.assign(this, { asks: false, wrong: '', isSending: false });
  }

  show({ removed_after: removedAfter }) {
    this.removedAfter = removedAfter;
    this.update();
  }

  update() {
    const { removedAfter, asks, wrong, isSending } = this, shown = JSON.stringify([removedAfter, asks, wrong, isSending]);
    if (shown === this.shown) return;
    this.shown = shown;
    refill(this.node, el('p', { class: 'nv-hint' }, 'The slide stays on this server until ', el('time', { datetime: removedAfter }, when(removedAfter).slice(0, 10)), ', its fields for good.'),
      asks ? el('div', { class: 'nv-confirm', role: 'group', 'aria-label': 'Remove the slide' },
        el('p', {}, 'The file of the slide is deleted from this server, and no more fields can be cut. Its fields stay.'), wrong ? el('p', { class: 'nv-wrong-now', role: 'alert' }, wrong) : null,
        el('div', { class: 'nv-row' }, button('Remove it', () => this.remove(), { class: 'nv-main', 'data-key': 'remove-now', disabled: isSending }), button('Keep it', () => this.ask(false), { 'data-key': 'remove-not', disabled: isSending })))
        : button('Remove the slide…', () => this.ask(true), { class: 'nv-link', 'data-key': 'remove' }));
  }

  ask(asks) {
    Object.assign(this, { asks, wrong: '' });
    this.update();
    this.node.querySelector(asks ? '[data-key=remove-not]' : '[data-key=remove]')?.focus();
    if (asks) this.node.scrollIntoView({ block: 'nearest' });
  }

  /** Take the question back. Returns whether there was one. */
  drop() {
    const { asks, isSending } = this;
    if (asks && !isSending) this.ask(false);
    return asks;
  }

  async remove() {
    Object.assign(this, { isSending: true, wrong: '' });
    this.update();
    const wrong = await this.handlers.onRemove();
    Object.assign(this, { isSending: false, wrong, asks: Boolean(wrong) });
    this.update();
    this.node.querySelector('[data-key=remove-now]')?.focus();
  }
}
