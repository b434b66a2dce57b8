// Removing the open image, and the removed ones, which can be put back for a while.

import { button, el, refill } from './element.js';
import { ask, UNSURE } from './http.js';
import { number, when } from './numbers.js';

const PUT_BACK = 'removed image'; // the notice that can bring it back
const UNSENT = 'Your last correction is not saved yet, so the image was not removed. Try again in a moment.';

export class Removal {
  constructor(base, desk) {
    Object.assign(this, { base, desk, removed: [], asked: null, leaving: null, shown: '' });
    this.button = button('Remove it', () => this.remove(), { onkeydown: (event) => { if (event.repeat) event.preventDefault(); } }); // a held Enter removes one
    this.title = el('summary', {});
    this.list = el('ul', { class: 'nv-removed' });
    this.node = el('details', { class: 'nv-section nv-moving', hidden: true }, this.title,
      el('p', { class: 'nv-hint' }, 'They are in no case and no score. Each can be put back, with its fields and corrections, until its date; then its pixels are deleted from this server.'), this.list);
  }

  async remove() {
    const { desk } = this, { viewer, store } = desk, image = desk.imageToChange();
    if (image === null) return;
    if (viewer.session?.outbox.pending) return desk.explain(UNSENT);
    const { label } = viewer.data, next = this.after(image);
    this.leaving = image;
    this.button.disabled = true;
    const wrong = await store.act('remove', ({ rev }) => ({ rev, image })).finally(() => { this.button.disabled = false; });
    if (wrong) {
      this.leaving = null;
      return desk.tell(wrong);
    }
    desk.notice('info', `Removed ${label}.`, { key: PUT_BACK, action: ['Undo', () => this.putBack({ id: image, case: store.id, label })] });
    viewer.say(`Removed ${label}.`);
    this.go(next);
  }

  /** The image to open once one is gone: the next of its case, the one before, else the latest of all; null where there is none. */
  after(image) {
    const own = this.desk.store?.state?.images.map(({ id }) => id) ?? [], at = own.indexOf(image);
    return own[at + 1] ?? own[at - 1] ?? this.desk.images.find(({ id }) => id !== image)?.id ?? null;
  }

  go(image) {
    if (image !== null) return this.desk.viewer.choose(image);
    const url = new URL(window.location.href);
    url.searchParams.delete('image');
    window.location.assign(url); // the page as it is before the first image
  }

  /** An image that the server does not list; null where it was removed: then another one opens. */
  async find(id) {
    try {
      return await ask(`${this.base}nucleus/api/images/${id}`);
    } catch (error) {
      if (error.status !== 404 || !error.isFinal) throw error;
      if (id === this.leaving) return null; // by this page: it opens another one itself
      this.leaving = id;
      this.desk.notice('info', 'This image was removed.', { once: true });
      this.go(this.after(id));
      return null;
    }
  }

  async putBack({ id, case: of, label }) {
    const { desk } = this;
    if (await this.send(of, 'put-back', id)) {
      this.leaving = null;
      desk.viewer.panel.dropNotice(PUT_BACK);
      if (desk.store?.id === of) desk.store.refresh(0);
      desk.viewer.choose(id);
      desk.viewer.say(`${label} is back.`);
    }
  }

  async delete({ id, case: of }) {
    this.asked = null;
    if (await this.send(of, 'delete-removed', id)) this.desk.viewer.panel.dropNotice(PUT_BACK);
    this.desk.viewer.refresh();
  }

  /** Returns whether the server did it; what went wrong is told. */
  async send(caseId, what, image) {
    if (this.sending) return false; // pressed twice
    this.sending = true;
    try {
      await ask(`${this.base}nucleus/api/cases/${caseId}/${what}`, { method: 'POST', body: { reader: this.desk.viewer.reader(), image } });
      return true;
    } catch (error) {
      this.desk.tell(error.status ? error.message : UNSURE);
      return false;
    } finally {
      this.sending = false;
    }
  }

  /** removed: as the server lists them. */
  show(removed = this.removed) {
    this.removed = removed;
    const shown = JSON.stringify([removed, this.asked]);
    if (shown === this.shown) return;
    this.shown = shown;
    this.node.hidden = !removed.length;
    this.title.textContent = `Removed images (${number(removed.length)})`;
    refill(this.list, ...removed.map((image) => this.line(image)));
  }

  line(image) {
    const { id, label, deleted_after: until } = image, does = (text, act, key) => button(text, act, { 'data-key': `${key}-${id}`, 'aria-label': `${text}: ${label}` });
    const about = el('span', { class: 'nv-label', title: label }, label);
    if (this.asked === id) return el('li', {}, about, el('p', { class: 'nv-hint' }, 'Nobody can bring its pixels back then.'),
      el('span', { class: 'nv-row' }, does('Delete for good', () => this.delete(image), 'delete-now'), does('Keep it', () => this.ask(null, id), 'keep')));
    return el('li', {}, about, el('span', { class: 'nv-row' }, does('Put back', () => this.putBack(image), 'back'), does('Delete now…', () => this.ask(id, id), 'delete'),
      el('time', { class: 'nv-hint', datetime: until }, `until ${when(until).slice(0, 10)}`)));
  }

  ask(asked, id) {
    this.asked = asked;
    this.show();
    this.list.querySelector(`[data-key=${asked === null ? 'delete' : 'keep'}-${id}]`)?.focus();
  }
}
