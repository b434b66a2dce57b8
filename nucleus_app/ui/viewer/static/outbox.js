// Brings edits to the server and others' edits here. Every edit is shown at once, kept in the browser's storage until the server has
// acknowledged it, retried for as long as that takes, and sent by a later page when this one is gone.

import { authorId, BoxStore, randomId } from './box.js';
import { isRefusal } from './http.js';

const POLL_MS = 1500, FIRST_PAUSE_MS = 300, LONGEST_PAUSE_MS = 5000, TIMEOUT_MS = 15000;
const BATCH_EDITS = 200, BATCH_CHARACTERS = 500_000; // the server takes 4 MB, a proxy in front of it often one
const MUTE = { onChange() {}, onRefused() {} };

export class Outbox {
  /**
   * url: of the scoring's edits; review: to be kept up to date.
   * handlers: onChange(answer, isNews) after anything came back (null: nothing did), onRefused(text), onStale(text, how many edits are lost),
   * onEnd(outbox) once nothing more is sent, reader() the name.
   */
  constructor(url, blob, scoring, review, handlers) {
    Object.assign(this, { url, blob, review, handlers, author: authorId(), client: randomId(), seq: 0, rev: 0, savedAt: null, failing: false, reason: '' });
    Object.assign(this, { closed: false, leaving: false, unkept: false, pause: FIRST_PAUSE_MS, most: BATCH_EDITS });
    this.store = new BoxStore(blob, scoring);
    this.boxes = new Map(this.store.read()); // what earlier pages left goes first: own edits may name it
    this.boxes.set(this.client, { author: this.author, edits: [] });
  }

  /** Send what earlier pages left for a scoring that is not open, then end. */
  static drain(base, blob, scoring, handlers) {
    const outbox = new Outbox(`${base}nucleus/api/scorings/${scoring}/edits`, blob, scoring, { apply() {}, forget() {} }, handlers);
    outbox.leaving = true;
    outbox.turn();
    return outbox;
  }

  get pending() {
    let n = 0;
    for (const { edits } of this.boxes.values()) n += edits.length;
    return n;
  }

  /** Show what earlier pages left behind, once the server's log is here. */
  showPending() {
    for (const [client, { author, edits }] of this.boxes) {
      for (const edit of [...edits]) {
        try {
          this.review.apply({ key: `${client}:${edit.seq}`, op: edit.op, author });
        } catch {
          this.settle(client, [edit.seq]); // damaged in the storage
        }
      }
    }
  }

  /** Apply an edit here and send it. Returns its key. */
  commit(op) {
    const edit = { seq: ++this.seq, op };
    const key = `${this.client}:${edit.seq}`;
    this.boxes.get(this.client).edits.push(edit);
    if (!this.store.keep(this.client, this.author, edit)) this.unkept = true; // the page warns before it is closed
    this.review.apply({ key, op, author: this.author, at: new Date().toISOString(), reader: this.handlers.reader() });
    this.poke();
    return key;
  }

  /** Send soon: an idle poll makes way, and a retry does not wait for its pause when asked by hand. */
  poke(byHand = false) {
    if (this.polling) this.aborter.abort();
    if (byHand) this.pause = FIRST_PAUSE_MS;
    if (!this.busy && (byHand || !this.failing)) this.turn();
  }

  start() {
    this.turn();
  }

  /** Nobody looks any more: send what is left, then end. */
  close() {
    this.handlers = { ...this.handlers, ...MUTE };
    this.leaving = true;
    if (this.polling) this.aborter.abort();
    if (!this.pending) this.end();
  }

  end() {
    this.closed = true;
    clearTimeout(this.timer);
    this.handlers.onEnd(this);
  }

  /** One request at a time: what is pending, else a question for what others did. */
  async turn() {
    if (this.busy || this.closed) return;
    clearTimeout(this.timer);
    const client = [...this.boxes.keys()].find((name) => this.boxes.get(name).edits.length);
    if (this.leaving && !client) return this.end();
    this.busy = true;
    let wait = POLL_MS;
    try {
      if (client) await this.send(client);
      else if (!document.hidden) await this.poll();
      if (this.pending) wait = 0;
      Object.assign(this, { failing: false, reason: '', pause: FIRST_PAUSE_MS });
    } catch (error) {
      if (error.name !== 'AbortError' || client) {
        Object.assign(this, { failing: true, reason: error.said ?? '' });
        wait = this.pause;
        this.pause = Math.min(LONGEST_PAUSE_MS, this.pause * 2);
      } else wait = 0;
      if (!this.closed) this.handlers.onChange(null);
    }
    this.busy = false;
    if (this.closed) return;
    if (wait === 0) queueMicrotask(() => this.turn());
    else this.timer = setTimeout(() => this.turn(), wait);
  }

  async poll() {
    this.polling = true;
    try {
      const answer = await this.ask(`${this.url}?after=${this.rev}`, {});
      if (answer.stale) this.giveUp(answer.detail);
      else this.take(answer);
    } finally {
      this.polling = false;
    }
  }

  async send(client) {
    const { author, edits } = this.boxes.get(client);
    const batch = pack(edits, this.most);
    const body = JSON.stringify({ client, author, reader: this.handlers.reader(), after: this.rev, edits: batch });
    let answer;
    try {
      answer = await this.ask(this.url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    } catch (error) {
      if (!error.isFinal) throw error;
      if (batch.length > 1) {
        this.most = 1; // find the one that is not taken
        return;
      }
      answer = { ack: 0, refused: batch[0].seq, detail: error.said, edits: [], rev: this.rev };
    }
    if (answer.stale) return this.giveUp(answer.detail);
    this.most = BATCH_EDITS;
    this.settle(client, edits.map(({ seq }) => seq).filter((seq) => seq <= answer.ack || seq === answer.refused));
    if (answer.refused !== undefined) this.review.forget(`${client}:${answer.refused}`);
    else this.savedAt = new Date();
    if (answer.score) this.take(answer);
    if (answer.refused !== undefined) this.handlers.onRefused(answer.detail);
  }

  /** These edits need not be sent any more. */
  settle(client, seqs) {
    const box = this.boxes.get(client);
    box.edits = box.edits.filter(({ seq }) => !seqs.includes(seq));
    for (const seq of seqs) this.store.drop(client, seq);
    if (!this.pending) this.unkept = false;
  }

  /** The server takes edits of this scoring no more. */
  giveUp(detail) {
    const lost = this.pending;
    for (const [client, { edits }] of this.boxes) this.settle(client, edits.map(({ seq }) => seq));
    this.end();
    this.handlers.onStale(detail, lost);
  }

  take(answer) {
    let isNews = false; // others' edits, or own ones of another page
    for (const { rev, client, seq, ...edit } of answer.edits) isNews = this.review.apply({ key: `${client}:${seq}`, ...edit }, rev) || isNews;
    this.rev = Math.max(this.rev, answer.rev);
    this.handlers.onChange(answer, isNews);
  }

  async ask(url, options) {
    const aborter = (this.aborter = new AbortController());
    const timer = setTimeout(() => aborter.abort(new Error('no answer')), TIMEOUT_MS);
    try {
      const response = await fetch(url, { cache: 'no-store', signal: aborter.signal, ...options });
      if (response.ok) return await response.json();
      const answer = response.status < 500 ? await response.json().catch(() => ({})) : {};
      if (response.status === 422 && answer.refused !== undefined) return answer;
      const isOurs = typeof answer.detail === 'string', said = isOurs ? answer.detail : `The server answered ${response.status}.`;
      if (response.status === 409 && isOurs) return { ...answer, stale: true };
      throw Object.assign(new Error(said), { said, isFinal: isRefusal(response.status, isOurs) });
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The first edits of a box, as many as go well into one request. */
function pack(edits, most) {
  const chosen = [];
  let size = 0;
  for (const edit of edits.slice(0, most)) {
    size += JSON.stringify(edit).length;
    if (chosen.length && size > BATCH_CHARACTERS) break;
    chosen.push(edit);
  }
  return chosen;
}
