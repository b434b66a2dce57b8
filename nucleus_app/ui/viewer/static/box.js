// Edits that the server has not acknowledged, in the browser's storage: one entry an edit, so that two tabs never overwrite each other's
// and a click writes no more than itself.

import { forget, listKeys, recall, recallJson, remember } from './memory.js';

const BOX = 'nucleus:outbox';

/** A random identifier; crypto.randomUUID is missing on plain http. */
export function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The one identifier of this browser: whose edits can be undone here. */
export function authorId() {
  const known = recall('nucleus:author');
  if (known) return known;
  const author = randomId();
  remember('nucleus:author', author);
  return author;
}

/** Storage of one scoring's edits. The pixels' name is part of it: a number can come to mean another scoring. */
export class BoxStore {
  constructor(blob, scoring) {
    this.prefix = `${BOX}:${blob}:${scoring}:`;
  }

  /** What earlier pages left, as [client, { author, edits }], the earliest client first. */
  read() {
    const boxes = new Map();
    for (const key of listKeys(this.prefix)) {
      const [client, seq] = key.slice(this.prefix.length).split(':');
      const kept = recallJson(key, null);
      if (!kept?.op?.op || !Number.isInteger(Number(seq))) {
        forget(key);
        continue;
      }
      const box = boxes.get(client) ?? { author: kept.author, since: kept.at, edits: [] };
      box.edits.push({ seq: Number(seq), op: kept.op });
      box.since = Math.min(box.since, kept.at);
      boxes.set(client, box);
    }
    for (const { edits } of boxes.values()) edits.sort((a, b) => a.seq - b.seq);
    return [...boxes].sort(([, a], [, b]) => a.since - b.since);
  }

  /** Returns false when the storage is full: the edit lives in this page only. */
  keep(client, author, { seq, op }) {
    return remember(`${this.prefix}${client}:${seq}`, JSON.stringify({ author, op, at: Date.now() }));
  }

  drop(client, seq) {
    forget(`${this.prefix}${client}:${seq}`);
  }
}

/** Every [blob, scoring] that has something left. */
export function listBoxes() {
  const found = new Map();
  for (const key of listKeys(`${BOX}:`)) {
    const [, , blob, scoring] = key.split(':');
    found.set(`${blob}:${scoring}`, [blob, Number(scoring)]);
  }
  return [...found.values()];
}
