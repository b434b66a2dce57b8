// The part of the panel that is about reviewing: saved mark, doubtful nuclei, thresholds, regions, history.

import { button, el, setText } from './element.js';
import { describe } from './history.js';
import { number } from './numbers.js';
import { NOUNS } from './palettes.js';

const LISTED = 200; // at first, and at every press of more
const clock = (date) => date.toLocaleTimeString('en-GB');

export class ReviewPanel {
  /** handlers: onCut(kind, level, done), onUndo(key), onLook(edit), onWalk(step), onAgree(), onSuggest(), onAccept(), onDismiss(). */
  constructor(handlers) {
    this.handlers = handlers;
    this.saved = el('p', { class: 'nv-saved', role: 'status' });
    this.doubtText = el('p', {});
    this.doubt = section('Doubtful nuclei', true, this.doubtText,
      el('p', { class: 'nv-row' }, button('Previous', () => handlers.onWalk(-1)), button('Next', () => handlers.onWalk(1)), button('Agree', () => handlers.onAgree())));
    this.sliders = el('div', {});
    this.cuts = section('Thresholds', false, this.sliders, el('p', { class: 'nv-hint' }, 'Network nuclei below a class’s threshold do not count. What a person placed or classed stays.'));
    this.regionText = el('p', { class: 'nv-hint' }, 'Nuclei in non-tumour and excluded regions are shown pale and not counted. Tumour and reviewed areas teach the network.');
    this.suggestion = el('p', { class: 'nv-row' });
    this.regions = section('Regions', false, this.regionText, this.suggestion);
    this.list = el('ol', { class: 'nv-history' });
    this.historyTitle = el('summary', {}, 'History');
    this.history = el('details', { class: 'nv-section', ontoggle: () => this.showHistory(this.review) }, this.historyTitle, this.list);
    this.node = el('section', { class: 'nv-review', 'aria-label': 'Review' }, this.saved, this.doubt, this.cuts, this.regions, this.history);
    this.showSuggestion('none', false);
  }

  /** Whether everything is on the server. */
  showSaved({ pending, failing, savedAt, unkept, reason }) {
    const unsaved = `${number(pending)} edit${pending === 1 ? '' : 's'} not saved yet`;
    const why = reason ? ` The server says: ${reason}` : '';
    const kept = unkept ? 'This browser cannot keep them either: leave the page open.' : 'They are kept in this browser and sent as soon as the server answers.';
    this.saved.className = `nv-saved${pending && failing ? ' nv-unsaved' : ''}`;
    setText(this.saved, pending && failing ? `${unsaved}. ${kept}${why}` : pending ? 'saving…' : savedAt ? `saved ${clock(savedAt)}` : 'every edit is saved by itself');
  }

  /** open: { n, low_percent, high_percent } from the server; at: place in the queue, or null. */
  showDoubt(open, at) {
    if (!open || !open.n) {
      this.doubtText.textContent = 'None is left open.';
      return;
    }
    const range = open.low_percent === null || open.low_percent === undefined ? '' : ` If all were otherwise, the index would lie between ${open.low_percent.toFixed(1)} and ${open.high_percent.toFixed(1)} %.`;
    this.doubtText.textContent = `${at === null ? '' : `At ${at}. `}${number(open.n)} open, the most doubtful first.${range}`;
  }

  /** Build the sliders of a scoring. */
  setUpCuts(floors, thresholds) {
    this.levels = thresholds;
    this.inputs = NOUNS.map((noun, kind) => {
      const value = el('output', {});
      const input = el('input', { type: 'range', min: (Math.ceil(floors[kind] * 100 - 1e-9) / 100).toFixed(2), max: 1, step: 0.01, 'aria-label': `Threshold of ${noun} nuclei`, 'data-cut': kind });
      input.addEventListener('input', () => { this.moving = kind; this.handlers.onCut(kind, Number(input.value), false); });
      input.addEventListener('change', () => this.letGo(kind));
      for (const end of ['pointerup', 'pointercancel', 'blur']) input.addEventListener(end, () => { if (this.moving === kind) this.letGo(kind); }); // back at its start it has not changed
      const back = el('button', { type: 'button', title: 'Back to the network’s own', 'aria-label': `Back to the network’s own threshold for ${noun}`, onclick: () => this.handlers.onCut(kind, thresholds[kind], true) }, '↺');
      return { input, value, back, own: thresholds[kind], row: el('label', { class: 'nv-cut' }, el('span', {}, noun), input, value, back) };
    });
    this.sliders.replaceChildren(...this.inputs.map(({ row }) => row));
  }

  /** A slider that was moved and came back is no edit, nor is one whose level was taken already. */
  letGo(kind) {
    const level = Number(this.inputs[kind].input.value), committed = this.levels[kind];
    this.moving = null;
    if (isSame(level, committed)) this.handlers.onCut(kind, committed, false);
    else this.handlers.onCut(kind, level, true);
  }

  showCuts(levels) {
    this.levels = levels;
    this.inputs?.forEach(({ input, value, back, own }, kind) => {
      if (this.moving !== kind) input.value = levels[kind].toFixed(2); // else the reader holds it
      value.textContent = Number(input.value).toFixed(2);
      back.disabled = isSame(Number(input.value), own);
    });
  }

  /** state of the network's own map: none, running, done; shown: whether it lies over the image. */
  showSuggestion(state, shown) {
    if (shown) this.suggestion.replaceChildren(button('Accept as tumour', () => this.handlers.onAccept()), button('Dismiss', () => this.handlers.onDismiss()));
    else if (state === 'running') this.suggestion.replaceChildren('The network is looking for tumour…');
    else this.suggestion.replaceChildren(button('Show where the network sees tumour', () => this.handlers.onSuggest()));
  }

  showHistory(review, author) {
    this.review = review;
    this.author = author ?? this.author;
    const n = review ? review.edits.size : 0;
    this.historyTitle.textContent = n ? `History (${number(n)})` : 'History';
    if (!this.history.open) {
      this.shownHistory = '';
      return;
    }
    const edits = review ? review.inOrder() : [];
    const shown = `${n}:${edits.at(-1)?.order}:${edits.filter((edit) => edit.undone).length}:${edits[0]?.key}`;
    if (shown === this.shownHistory) return; // a rebuilt list would lose its place and the press of a button
    this.shownHistory = shown;
    this.listed ??= LISTED;
    this.list.replaceChildren(...edits.slice(-this.listed).reverse().map((edit) => {
      const isEdit = edit.op.op !== 'undo' && edit.op.op !== 'redo';
      const own = edit.author === this.author;
      return el('li', { class: edit.undone ? 'nv-undone' : null },
        el('button', { type: 'button', class: 'nv-line', onclick: () => this.handlers.onLook(edit) }, el('time', {}, edit.at ? clock(new Date(edit.at)) : ''), ` ${edit.reader || (own ? 'you' : 'another reader')}: ${describe(edit, review)}`),
        isEdit && own ? el('button', { type: 'button', class: 'nv-undo', onclick: () => this.handlers.onUndo(edit) }, edit.undone ? 'redo' : 'undo') : null);
    }));
    if (edits.length > this.listed) this.list.append(el('li', {}, button('Earlier edits', () => { this.listed += LISTED; this.shownHistory = ''; this.showHistory(review); })));
  }
}

/** Whether two levels are the same on a slider, whose steps are hundredths. */
function isSame(a, b) {
  return a.toFixed(2) === b.toFixed(2);
}

function section(title, open, ...children) {
  return el('details', { class: 'nv-section', open }, el('summary', {}, title), ...children);
}
