// Changes of a case that the server has not taken yet, in the browser's storage: one entry a case and page, read by a later page when
// this one is gone.

import { randomId } from './box.js';
import { forget, listKeys, recallJson, remember } from './memory.js';

const BOX = 'nucleus:case', ABANDONED_MS = 60_000; // a page that is there writes its entry anew at every try
const client = randomId();
const unsent = new Set();
window.addEventListener('pagehide', () => { for (const box of unsent) box.leave(); });

export class CaseBox {
  constructor(id) {
    this.prefix = `${BOX}:${id}:`;
    this.key = this.prefix + client;
  }

  /** state: whose images tell later that it is the same case. Nothing to keep: the entry goes. */
  keep(changes, state, left = false) {
    if (!changes.length) {
      if (unsent.delete(this)) forget(this.key);
      return;
    }
    unsent.add(this);
    this.last = [changes, state];
    remember(this.key, JSON.stringify({ changes, blobs: state.images.map(({ blob }) => blob), at: Date.now(), left }));
  }

  leave() {
    this.keep(...this.last, true);
  }

  /** What pages that are gone left for this case, earliest first. Their entries are this page's to keep now. */
  adopt(state) {
    const blobs = new Set(state.images.map(({ blob }) => blob)), found = [];
    for (const key of listKeys(this.prefix)) {
      const entry = key === this.key ? null : recallJson(key, null);
      if (!entry || !(entry.left || Date.now() - entry.at > ABANDONED_MS)) continue;
      forget(key);
      if (Array.isArray(entry.changes) && entry.blobs?.some((blob) => blobs.has(blob))) found.push(entry);
    }
    return found.sort((a, b) => a.at - b.at).flatMap(({ changes }) => changes);
  }
}
