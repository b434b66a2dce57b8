// Brings edits to the server and others' edits here. Every edit is shown at once, kept in the browser's storage until the server has
// acknowledged it, retried for as long as that takes, and sent by a later page when this one is gone.

const POLL_MS = 1500, FIRST_PAUSE_MS = 300, LONGEST_PAUSE_MS = 5000, TIMEOUT_MS = 15000;
const BATCH_EDITS = 200, BATCH_CHARACTERS = 1_000_000; // the server takes bodies of 4 MB
const BOX = 'nucleus:outbox:';

/** A random identifier; crypto.randomUUID is missing on plain http. */
export function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The one identifier of this browser: whose edits can be undone here. */
export function authorId() {
  const known = localStorage.getItem('nucleus:author');
  if (known) return known;
  const author = randomId();
  localStorage.setItem('nucleus:author', author);
  return author;
}

export class Outbox {
  /**
   * url: of the scoring's edits; review: to be kept up to date.
   * handlers: onChange(answer) after anything came back, onRefused(text), onStale(text), reader() the person's name.
   */
  constructor(url, scoring, review, handlers) {
    Object.assign(this, { url, review, handlers, author: authorId(), client: randomId(), seq: 0, rev: 0, savedAt: null, failing: false, closed: false });
    this.prefix = `${BOX}${scoring}:`;
    this.boxes = new Map([[this.client, []]]); // client → edits not acknowledged yet
    for (const name of Object.keys(localStorage)) if (name.startsWith(this.prefix)) this.adopt(name);
    this.pause = FIRST_PAUSE_MS;
  }

  get pending() {
    let n = 0;
    for (const box of this.boxes.values()) n += box.length;
    return n;
  }

  /** Edits that an earlier page left behind go first, under the name they had there. */
  adopt(name) {
    try {
      const client = name.slice(this.prefix.length);
      const left = JSON.parse(localStorage.getItem(name)).filter((edit) => Number.isInteger(edit.seq) && edit.op);
      if (left.length) this.boxes.set(client, left);
    } catch {
      localStorage.removeItem(name);
    }
  }

  /** Show what earlier pages left behind, once the server's log is here. */
  showPending() {
    for (const [client, box] of this.boxes) for (const { seq, op } of box) this.review.apply({ key: `${client}:${seq}`, op, author: this.author });
  }

  /** Apply an edit here and send it. Returns its key. */
  commit(op) {
    const edit = { seq: ++this.seq, op };
    const key = `${this.client}:${edit.seq}`;
    this.boxes.get(this.client).push(edit);
    this.keep(this.client);
    this.review.apply({ key, op, author: this.author, at: new Date().toISOString(), reader: this.handlers.reader() });
    this.poke();
    return key;
  }

  keep(client) {
    const box = this.boxes.get(client);
    try {
      if (box.length) localStorage.setItem(this.prefix + client, JSON.stringify(box));
      else localStorage.removeItem(this.prefix + client);
      this.unkept = false;
    } catch {
      this.unkept = true; // the browser's storage is full; the page warns before it is closed
    }
  }

  /** Send soon: an idle poll makes way. */
  poke() {
    if (this.polling) this.aborter.abort();
    if (!this.busy && !this.failing) this.turn();
  }

  start() {
    this.turn();
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.aborter?.abort();
  }

  /** One request at a time: what is pending, else a question for what others did. */
  async turn() {
    if (this.busy || this.closed) return;
    clearTimeout(this.timer);
    this.busy = true;
    const client = [...this.boxes.keys()].find((name) => this.boxes.get(name).length);
    let wait = POLL_MS;
    try {
      if (client) await this.send(client);
      else if (!document.hidden) await this.poll();
      if (this.pending) wait = 0;
      this.failing = false;
      this.pause = FIRST_PAUSE_MS;
    } catch (error) {
      if (error.name !== 'AbortError' || client) {
        this.failing = true;
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
      this.take(await this.ask(`${this.url}?after=${this.rev}`, {}));
    } finally {
      this.polling = false;
    }
  }

  async send(client) {
    const edits = pack(this.boxes.get(client));
    const body = JSON.stringify({ client, author: this.author, reader: this.handlers.reader(), after: this.rev, edits });
    const answer = await this.ask(this.url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    if (answer.stale) {
      this.closed = true;
      this.handlers.onStale(answer.detail);
      return;
    }
    const kept = this.boxes.get(client).filter(({ seq }) => seq > answer.ack && seq !== answer.refused);
    this.boxes.set(client, kept);
    this.keep(client);
    if (answer.refused !== undefined) this.review.forget(`${client}:${answer.refused}`);
    this.savedAt = new Date();
    this.take(answer);
    if (answer.refused !== undefined) this.handlers.onRefused(answer.detail);
  }

  take(answer) {
    for (const { rev, client, seq, ...edit } of answer.edits) this.review.apply({ key: `${client}:${seq}`, ...edit }, rev);
    this.rev = Math.max(this.rev, answer.rev);
    this.handlers.onChange(answer);
  }

  async ask(url, options) {
    const aborter = (this.aborter = new AbortController());
    const timer = setTimeout(() => aborter.abort(new Error('no answer')), TIMEOUT_MS);
    try {
      const response = await fetch(url, { cache: 'no-store', signal: aborter.signal, ...options });
      if (response.ok) return await response.json();
      const answer = response.status < 500 ? await response.json().catch(() => ({})) : {};
      if (response.status === 422 && answer.refused !== undefined) return answer;
      if (response.status === 409) return { ...answer, stale: true };
      throw new Error(answer.detail ?? `the server answered ${response.status}`);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The first edits of a box, as many as go well into one request. */
function pack(box) {
  const chosen = [];
  let size = 0;
  for (const edit of box.slice(0, BATCH_EDITS)) {
    size += JSON.stringify(edit).length;
    if (chosen.length && size > BATCH_CHARACTERS) break;
    chosen.push(edit);
  }
  return chosen;
}
