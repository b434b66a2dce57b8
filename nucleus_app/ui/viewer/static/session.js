// One scoring under review: its nuclei, the fold of all edits, the way to the server, and the queue of doubtful nuclei.

import { ask, fetchBytes } from './http.js';
import { Outbox } from './outbox.js';
import { NETWORK, PointStore } from './points.js';
import { Review } from './review.js';

const ROI_PAUSE_MS = 700;

export class Session {
  /** Fetch a case's nuclei and edits. handlers: those of Outbox. Throws when the server does not answer. */
  static async open(base, data, handlers) {
    // The pixels' name is part of the address: a browser keeps candidates, and a number can come to mean another scoring.
    const url = `${base}nucleus/api/scorings/${data.scoring}`;
    const [candidates, log, doubtful] = await Promise.all([
      fetchBytes(`${url}/candidates?of=${data.blob}`), ask(`${url}/edits?after=0`), ask(`${url}/doubtful`),
    ]);
    return new Session(url, data, PointStore.decode(candidates, data.width_px, data.height_px), log, doubtful.ids, handlers);
  }

  constructor(url, data, points, log, doubtful, handlers) {
    Object.assign(this, { url, scoring: data.scoring, points, doubtful, score: log.score, at: -1 });
    this.review = new Review(points, data.thresholds);
    this.outbox = new Outbox(`${url}/edits`, data.blob, data.scoring, this.review, {
      ...handlers,
      onChange: (answer, isNews) => {
        if (answer) this.score = answer.score;
        handlers.onChange(isNews);
      },
    });
    for (const { rev, client, seq, ...edit } of log.edits) this.review.apply({ key: `${client}:${seq}`, ...edit }, rev);
    this.outbox.rev = log.rev;
    this.outbox.showPending();
  }

  start() {
    this.outbox.start();
  }

  close() {
    this.outbox.close();
  }

  commit(op) {
    return this.outbox.commit(op);
  }

  /** Take one's own last edit back (or bring the last undone one again). Returns the edit, or null where there is none. */
  step(op) {
    const key = this.review.stacks(this.outbox.author)[op].at(-1);
    return key ? this.turn(this.review.edits.get(key)) : null;
  }

  /** Undo an own edit, or redo it when it is undone. */
  turn(edit) {
    this.commit({ op: edit.undone ? 'redo' : 'undo', edit: edit.key });
    return edit;
  }

  /** What the panel shows: the server's numbers, or the browser's own counts until it has answered. */
  get numbers() {
    const [positive, negative, other] = this.review.counts;
    const isCurrent = !this.outbox.pending && !this.review.previewing;
    const tumour = positive + negative;
    return isCurrent ? this.score : {
      ...this.score, counts: { positive, negative, other }, left_out: this.review.leftOut,
      index_percent: tumour ? (100 * positive) / tumour : null, waiting: true,
    };
  }

  /** Whether browser and server count alike; both must be at the same edits to tell. */
  get agrees() {
    const { counts } = this.score;
    return this.outbox.pending > 0 || this.review.previewing || this.review.counts.every((n, kind) => n === [counts.positive, counts.negative, counts.other][kind]);
  }

  /** The network's own map of tumour, as the geometry of a region. Waits for the worker while it is wanted. */
  async findRoi(isWanted) {
    const url = `${this.url}/roi`;
    let answer = await ask(url, { method: 'POST' });
    while (answer.state === 'running' && isWanted()) {
      await new Promise((resolve) => setTimeout(resolve, ROI_PAUSE_MS));
      answer = await ask(url);
    }
    if (answer.state !== 'done' && isWanted()) throw new Error(answer.error ?? 'the worker could not do it.');
    return answer.cells;
  }

  isOpen(i) {
    return this.points.origins[i] === NETWORK && !this.review.outside.has(i);
  }

  /** The next open doubtful nucleus after (or before) the one looked at last, around the end; -1 when none is left. */
  walk(step) {
    const { doubtful } = this;
    for (let tried = 0; tried < doubtful.length; tried++) {
      this.at = this.at < 0 && step < 0 ? doubtful.length - 1 : (this.at + step + doubtful.length) % doubtful.length;
      if (this.isOpen(doubtful[this.at])) return doubtful[this.at];
    }
    this.at = -1;
    return -1;
  }
}
