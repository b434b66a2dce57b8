// Outboxes of images that are no longer open: what they still have is sent from behind. One that has ended is let go, and its review with it.

import { listBoxes } from './box.js';
import { Outbox } from './outbox.js';

export class Leaving {
  /** handlers: onStale(scoring, text, lost), onEnd() when one has ended, reader(). */
  constructor(base, handlers) {
    Object.assign(this, { base, handlers, outboxes: new Set() });
  }

  /** What an outbox tells, also after it was left. */
  handlersOf(scoring) {
    const { onStale, reader } = this.handlers;
    return { onStale: (text, lost) => onStale(scoring, text, lost), onEnd: (outbox) => this.end(outbox), reader };
  }

  add(outbox) {
    if (outbox.pending) this.outboxes.add(outbox);
  }

  /** Send what earlier pages left. */
  drain() {
    for (const [blob, scoring] of listBoxes()) this.add(Outbox.drain(this.base, blob, scoring, { onChange() {}, onRefused() {}, ...this.handlersOf(scoring) }));
  }

  end(outbox) {
    if (this.outboxes.delete(outbox)) this.handlers.onEnd();
  }

  get isEmpty() {
    return this.outboxes.size === 0;
  }

  /** Whether there is one of an image with any of these pixels. */
  has(blobs) {
    return [...this.outboxes].some(({ blob }) => blobs.includes(blob));
  }
}
