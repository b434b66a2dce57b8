// One case as the server has it, and the sheet as the reader left it: her changes on top of the server's sheet. They show at once, are kept
// in the browser's storage, and are sent one request at a time; when another window was faster, they are made anew on what it left.

import { CaseBox } from './casebox.js';
import { apply, describe, isSame, merge, replay } from './changes.js';
import { ask, UNSURE } from './http.js';

const FIRST_PAUSE_MS = 500, LONGEST_PAUSE_MS = 5000, REFRESH_MS = 250, MOST_TRIES = 5;
export const TYPING_MS = 400;
export const UNSAVED = 'Your last change is not saved yet, so this was not done. Try again once it is.';

export class CaseStore {
  /** handlers: onChange(), onNotice(kind, text), reader(). */
  constructor(base, id, handlers) {
    Object.assign(this, { base, id, handlers, url: `${base}nucleus/api/cases/${id}`, state: null, sheet: null, changes: [], sent: 0, box: new CaseBox(id) });
    Object.assign(this, { failing: false, unsure: false, savedAt: null, pause: FIRST_PAUSE_MS, asking: 0, chain: Promise.resolve(), closed: false });
  }

  get isDirty() {
    return this.changes.length > 0;
  }

  /** Whether the score is not that of what the reader sees yet. */
  get isWaiting() {
    return this.isDirty || this.asking > 0 || this.refreshTimer !== undefined;
  }

  get isSigned() {
    return Boolean(this.state?.signature);
  }

  /** Requests go one after the other: an answer is never older than the one before it. */
  queue(act) {
    this.asking++;
    const done = this.chain.then(act).finally(() => { this.asking--; this.handlers.onChange(); });
    this.chain = done.catch(() => {});
    return done;
  }

  /** Ask for the state anew, soon; many wishes are one question. */
  refresh(delay = REFRESH_MS) {
    if (this.closed) return;
    clearTimeout(this.refreshTimer);
    this.refreshTimer = setTimeout(() => {
      this.refreshTimer = undefined;
      this.queue(() => this.load()).catch(() => {}); // the page's own poll says that the server is away, and asks again
    }, delay);
    this.handlers.onChange();
  }

  /** Throws where the server does not answer. */
  async load() {
    const state = await ask(this.url);
    if (!this.state) {
      this.changes = this.box.adopt(state);
      if (this.isDirty) this.schedule(0);
    }
    this.take(state);
    this.unsure = false;
  }

  /** The server's state, with the reader's changes made anew on it; what is in it already need not be sent. */
  take(state) {
    const { sheet, kept, lost } = state.signature ? { sheet: state.sheet, kept: [], lost: this.changes.map(describe) } : replay(state, this.changes);
    const wasDirty = this.isDirty;
    Object.assign(this, { state, sheet, changes: isSame(sheet, state.sheet) ? [] : kept });
    if (!this.isDirty) Object.assign(this, { failing: false, pause: FIRST_PAUSE_MS });
    if (wasDirty && !this.isDirty && !lost.length) this.savedAt = new Date(); // the answer had been lost, not the change
    this.box.keep(this.changes, state);
    if (lost.length) this.handlers.onNotice('error', `${state.signature ? 'This case was signed off meanwhile.' : 'Another window changed this case meanwhile.'} Not kept: ${lost.join('; ')}.`);
  }

  /** change: of changes.js. Choices are sent at once, typing when it rests. */
  edit(change, delay = 0) {
    if (!this.state || this.isSigned) return;
    const merged = this.changes.length > this.sent ? merge(this.changes.at(-1), change) : null;
    this.changes.splice(merged ? -1 : this.changes.length, 1, change);
    this.sheet = apply(this.sheet, change);
    this.box.keep(this.changes, this.state);
    this.schedule(delay);
    this.handlers.onChange();
  }

  schedule(delay) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), delay);
  }

  save() {
    clearTimeout(this.timer);
    return this.isDirty ? this.queue(() => this.put()) : this.chain;
  }

  async put() {
    try {
      for (let tried = 0; this.isDirty && tried < MOST_TRIES; tried++) {
        if (this.unsure) await this.load(); // it may be there already
        if (!this.isDirty || await this.send()) return;
      }
    } catch (error) {
      this.unsure = true;
    }
    if (!this.isDirty) return;
    this.failing = true;
    this.box.keep(this.changes, this.state);
    this.schedule(this.pause);
    this.pause = Math.min(LONGEST_PAUSE_MS, this.pause * 2);
  }

  /** Returns whether all that was there at the beginning is settled. Throws when no answer came. */
  async send() {
    this.sent = this.changes.length;
    try {
      const state = await ask(this.url, { method: 'PUT', body: { rev: this.state.rev, reader: this.handlers.reader(), sheet: this.sheet } });
      this.changes.splice(0, this.sent);
      Object.assign(this, { failing: false, pause: FIRST_PAUSE_MS, savedAt: new Date() });
      this.take(state);
      return true;
    } catch (error) {
      if (error.status === 409) this.unsure = true;
      else if (error.isFinal) this.refused(error);
      else throw error;
      return !this.unsure;
    } finally {
      this.sent = 0;
    }
  }

  /** The server cannot take what was sent: show what it has, with what was changed since. */
  refused(error) {
    const gone = this.changes.splice(0, this.sent);
    this.take(this.state);
    this.handlers.onNotice('error', `${error.message} Not kept: ${gone.map(describe).join('; ')}.`);
  }

  /**
   * Anything else that a case can be asked for, after what is not saved yet. body: of the request, or what makes it of the state then.
   * Returns what went wrong, '' if nothing did.
   */
  async act(name, body) {
    await this.save();
    if (this.isDirty) return UNSAVED;
    try {
      await this.queue(async () => {
        const own = typeof body === 'function' ? body(this.state) : body;
        this.take(await ask(`${this.url}/${name}`, { method: 'POST', body: { reader: this.handlers.reader(), ...own } }));
      });
      return '';
    } catch (error) {
      this.refresh(0);
      return error.status ? error.message : UNSURE;
    }
  }

  /** Nobody looks any more: send what is left. */
  close() {
    clearTimeout(this.refreshTimer);
    this.refreshTimer = undefined;
    this.closed = true;
    this.save();
  }

  /** Looked at again before all was sent. */
  reopen() {
    this.closed = false;
    this.refresh(0);
  }
}
