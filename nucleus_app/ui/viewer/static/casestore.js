// One case as the server has it, and the sheet as the reader left it. Her edits show at once and are sent one request at a time; what the
// server did not take, because another window was faster, she is told.

import { ask } from './http.js';

const FIRST_PAUSE_MS = 500, LONGEST_PAUSE_MS = 5000, REFRESH_MS = 250;
export const TYPING_MS = 400;

export class CaseStore {
  /** handlers: onChange(), onNotice(kind, text), reader(). */
  constructor(base, id, handlers) {
    Object.assign(this, { base, id, handlers, url: `${base}nucleus/api/cases/${id}`, state: null, sheet: null, version: 0, saved: 0 });
    Object.assign(this, { failing: false, savedAt: null, pause: FIRST_PAUSE_MS, asking: 0, chain: Promise.resolve(), closed: false });
  }

  get isDirty() {
    return this.version !== this.saved;
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

  async load() {
    if (this.isDirty && this.state) return;
    const state = await ask(this.url);
    if (this.isDirty && state.rev !== this.state.rev) return; // the next save is refused, and says why
    this.take(state);
  }

  take(state) {
    this.state = state;
    if (!this.isDirty) this.sheet = state.sheet;
  }

  /** change: sheet → sheet. Choices are sent at once, typing when it rests. */
  edit(change, delay = 0) {
    if (!this.state || this.isSigned) return;
    this.sheet = change(this.sheet);
    this.version++;
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
    if (!this.isDirty) return;
    const sent = this.version;
    try {
      const state = await ask(this.url, { method: 'PUT', body: { rev: this.state.rev, reader: this.handlers.reader(), sheet: this.sheet } });
      Object.assign(this, { saved: sent, failing: false, pause: FIRST_PAUSE_MS, savedAt: new Date() });
      this.take(state);
    } catch (error) {
      if (error.status >= 400 && error.status < 500) return this.giveUp(error);
      this.failing = true;
      this.schedule(this.pause);
      this.pause = Math.min(LONGEST_PAUSE_MS, this.pause * 2);
    }
  }

  /** The server does not take the edit: show what it has. */
  async giveUp(error) {
    clearTimeout(this.timer);
    Object.assign(this, { saved: this.version, failing: false });
    this.sheet = this.state.sheet;
    await this.load().catch(() => {});
    const why = error.status !== 409 ? error.message
      : this.isSigned ? 'This case was signed off meanwhile. Your last change was not kept.'
        : 'Another window changed this case meanwhile. It is shown as it is now; your last change was not kept.';
    this.handlers.onNotice('error', why);
  }

  /** Anything else that a case can be asked for, after what is not saved yet. Returns whether it was done. */
  async act(name, body) {
    await this.save();
    try {
      this.take(await this.queue(() => ask(`${this.url}/${name}`, { method: 'POST', body: { reader: this.handlers.reader(), ...body } })));
      return true;
    } catch (error) {
      this.handlers.onNotice('error', error.status ? error.message : 'The server does not answer. Nothing was changed; try again.');
      this.refresh(0);
      return false;
    } finally {
      this.handlers.onChange();
    }
  }

  /** Nobody looks any more: send what is left. */
  close() {
    clearTimeout(this.refreshTimer);
    this.refreshTimer = undefined;
    this.closed = true;
    this.save();
  }
}
