// Which fields are worth reviewing first, and why: those that would teach the network, or settle a score, most.

import { button, el } from './element.js';
import { ask } from './http.js';
import { plural } from './numbers.js';
import { Poll } from './poll.js';

const PAUSE_MS = 30_000, SOON_MS = 1500, AT_FIRST = 3, MOST = 10;

export class WorkList {
  /** handlers: onOpen(image id), openId() → the open image. */
  constructor(base, handlers) {
    Object.assign(this, { url: `${base}nucleus/api/worklist`, handlers, answer: null, isAll: false, known: '' });
    this.list = el('ol', { class: 'nv-work' });
    this.hint = el('p', { class: 'nv-hint' });
    this.more = button('', () => { this.isAll = !this.isAll; this.show(); this.more.focus(); }, { class: 'nv-link' });
    this.node = el('section', { class: 'nv-worklist', 'aria-label': 'Next best field', hidden: true }, el('div', { class: 'nv-heading' }, el('h3', {}, 'Next best field'), this.more), this.list, this.hint);
    this.poll = new Poll((isCurrent) => this.refresh(isCurrent), () => PAUSE_MS);
    this.poll.start();
  }

  /** Something was corrected, scored or signed: what is best next may be another. */
  poke(what) {
    if (what === this.poked) return;
    this.poked = what;
    clearTimeout(this.soon);
    if (this.answer) this.soon = setTimeout(() => this.poll.now(), SOON_MS);
  }

  async refresh(isCurrent) {
    try {
      const answer = await ask(this.url);
      if (isCurrent()) this.answer = answer;
    } catch {
      return; // the list of cases says that the server is away
    }
    this.show();
  }

  show() {
    if (!this.answer) return;
    const { fields, unscored } = this.answer, open = this.handlers.openId(), known = JSON.stringify([fields, unscored, open, this.isAll]);
    if (known === this.known) return;
    this.known = known;
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    this.node.hidden = !fields.length && !unscored;
    this.list.replaceChildren(...fields.slice(0, this.isAll ? MOST : AT_FIRST).map(({ image, label, reason }) =>
      el('li', {}, el('button', { type: 'button', 'data-id': image, 'aria-current': image === open ? 'true' : null, title: label, onclick: () => this.handlers.onOpen(image) }, el('span', { class: 'nv-label' }, label), el('span', { class: 'nv-why' }, reason)))));
    this.more.hidden = fields.length <= AT_FIRST;
    this.more.textContent = this.isAll ? 'fewer' : fields.length > MOST ? `best ${MOST}` : `all ${fields.length}`;
    this.hint.textContent = [fields.length ? '' : 'Every scored field was looked at.', unscored ? `${plural(unscored, 'image')} not scored yet.` : ''].filter(Boolean).join(' ');
    this.hint.hidden = !this.hint.textContent;
    if (focused) this.list.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
  }
}
