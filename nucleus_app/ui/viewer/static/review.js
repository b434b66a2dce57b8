// The fold of edits into what is shown and counted: the browser's twin of domain/review.py (docs/decisions/0008). A property test
// drives both with the same logs. No DOM in here.

import { ABSENT, COUNTED, EDITED, LEFT_OUT, NETWORK, PLACED } from './points.js';
import { LAYER_OF, LEAVES_OUT, boundsOf, covers } from './regions.js';

const PENDING = 2 ** 40; // orders of edits that the server has not placed yet lie beyond every rev

export class Review {
  /** points: the candidates (PointStore); thresholds: one per class. */
  constructor(points, thresholds) {
    Object.assign(this, { points, thresholds, candidates: points.n, counts: [0, 0, 0], leftOut: 0, pending: 0 });
    this.edits = new Map(); // key → { key, op, order, author, undone, toggles, at, reader, was }
    this.touching = new Map(); // index → edits that name the nucleus
    this.placed = new Map(); // key of an add → index
    this.keys = []; // index - candidates → key
    this.cutters = [[], [], []];
    this.levels = thresholds.map(Math.fround); // compared with single-precision scores, as the server does
    this.regions = []; // by order, last first
    this.outside = new Set(); // indices of nuclei on a region that leaves them out, present or not
    this.kindOf = Uint8Array.from(points.classes.subarray(0, points.n));
    this.home = Float32Array.from(points.xy.subarray(0, 2 * points.n));
    for (let i = 0; i < points.n; i++) this.judge(i);
  }

  idOf(i) {
    return i < this.candidates ? i : this.keys[i - this.candidates];
  }

  indexOf(id) {
    return typeof id === 'number' ? id : this.placed.get(id);
  }

  /** Take an edit in. rev: the server's order, or null for one that the server has not acknowledged. Twice is fine. Returns whether it is new. */
  apply({ key, op, author, at = null, reader = '', was = null }, rev = null) {
    const known = this.edits.get(key);
    if (known) {
      if (rev !== null) this.confirm(known, rev, at, was);
      return false;
    }
    const edit = { key, op, author, at, reader, was, order: rev ?? PENDING + this.pending++, undone: false, toggles: [] };
    this.edits.set(key, edit);
    if (op.op === 'add') {
      const i = this.points.insert(op.x, op.y, op.c, 1);
      this.placed.set(key, i);
      this.keys.push(key);
    }
    this.link(edit);
    this.refold(edit);
    return true;
  }

  /** An edit that the server refused never was. What it placed stays in the store, absent. */
  forget(key) {
    const edit = this.edits.get(key);
    if (!edit) return;
    this.edits.delete(key);
    edit.undone = true;
    edit.gone = true;
    if (edit.op.op === 'undo' || edit.op.op === 'redo') {
      const target = this.edits.get(edit.op.edit);
      if (target) {
        target.toggles = target.toggles.filter((toggle) => toggle !== edit);
        this.toggle(target);
      }
      return;
    }
    if (edit.op.op === 'region') this.regions = this.regions.filter((region) => region !== edit);
    this.refold(edit);
  }

  confirm(edit, rev, at, was) {
    Object.assign(edit, { at: at ?? edit.at, was });
    if (edit.order === rev) return;
    edit.order = rev;
    if (edit.op.op === 'region') {
      const at = this.regions.indexOf(edit);
      this.sortRegions();
      if (this.regions.indexOf(edit) === at) return; // the server put it where it was: nothing changes
    }
    if (edit.op.op === 'undo' || edit.op.op === 'redo') this.toggle(this.edits.get(edit.op.edit));
    else this.refold(edit);
  }

  /** Note where an edit belongs, before it is folded. */
  link(edit) {
    const { op } = edit;
    if (op.op === 'cut') this.cutters[op.c].push(edit);
    else if (op.op === 'region') {
      const [left, top, right, bottom] = boundsOf(op);
      edit.bounds = [left - 1, top - 1, right + 1, bottom + 1]; // so that rounding never makes the box decide
      this.regions.push(edit);
      this.sortRegions();
    } else if (op.op === 'undo' || op.op === 'redo') this.edits.get(op.edit)?.toggles.push(edit);
    else {
      for (const i of this.touched(edit)) {
        const list = this.touching.get(i);
        if (list) list.push(edit);
        else this.touching.set(i, [edit]);
      }
    }
  }

  sortRegions() {
    this.regions.sort((a, b) => b.order - a.order);
  }

  /** Indices of the nuclei that an edit names. */
  touched({ key, op }) {
    if (op.op === 'class' || op.op === 'delete') return op.ids.map((id) => this.indexOf(id)).filter((i) => i !== undefined);
    if (op.op === 'move') return [this.indexOf(op.id)].filter((i) => i !== undefined);
    return op.op === 'add' ? [this.placed.get(key)] : [];
  }

  /** Fold anew all that an edit bears on. */
  refold(edit) {
    const { op } = edit;
    if (op.op === 'undo' || op.op === 'redo') {
      const target = this.edits.get(op.edit);
      if (target) this.toggle(target);
    } else if (op.op === 'cut') {
      this.preview(op.c, this.cut(op.c));
    } else if (op.op === 'region') {
      if (LAYER_OF[op.label] === 'tissue') for (const i of [...this.points.within(...edit.bounds)]) this.judge(i, true);
    } else for (const i of this.touched(edit)) this.judge(i);
  }

  toggle(target) {
    const last = latest(target.toggles);
    const undone = last !== null && last.op.op === 'undo';
    if (undone === target.undone) return;
    target.undone = undone;
    this.refold(target);
  }

  /** From which proximity on candidates of a class count. */
  cut(kind) {
    return latest(this.cutters[kind].filter((edit) => !edit.undone))?.op.level ?? this.thresholds[kind];
  }

  /** Show a cut that is no edit (yet); the next edit of it, or the same with its own level, takes it away. */
  preview(kind, level) {
    this.levels[kind] = Math.fround(level);
    for (let i = 0; i < this.candidates; i++) if (this.kindOf[i] === kind) this.judge(i);
  }

  /** Whether a cut is shown that is no edit. */
  get previewing() {
    return this.levels.some((level, kind) => level !== Math.fround(this.cut(kind)));
  }

  /** Decide about one nucleus from the edits that name it, the cuts and the regions; the latter are looked at anew only where it or they moved. */
  judge(i, regionsChanged = false) {
    const { points } = this;
    let said = null, moved = null, kind = null, placing = null, removed = false;
    for (const edit of this.touching.get(i) ?? []) {
      if (edit.undone) continue;
      const { op } = edit.op;
      if (op === 'move') moved = later(moved, edit);
      else if (op === 'add') placing = edit;
      else {
        said = later(said, edit);
        if (op === 'class') kind = later(kind, edit);
        else removed = true;
      }
    }
    const isCandidate = i < this.candidates;
    const own = isCandidate ? this.kindOf[i] : this.edits.get(this.idOf(i))?.op.c ?? points.classes[i];
    let present;
    if (isCandidate) present = said ? said.op.op === 'class' : moved !== null || points.scores[i] >= this.levels[own];
    else present = placing !== null && !removed; // a class does not bring a removed one back
    const x = moved ? moved.op.x : isCandidate ? this.home[2 * i] : placing?.op.x ?? points.xy[2 * i];
    const y = moved ? moved.op.y : isCandidate ? this.home[2 * i + 1] : placing?.op.y ?? points.xy[2 * i + 1];
    if (points.moveTo(i, x, y) || moved || regionsChanged || !isCandidate) {
      if (this.isLeftOut(x, y)) this.outside.add(i); // by the exact place, not the one kept in single precision
      else this.outside.delete(i);
    }
    const origin = isCandidate ? (said || moved ? EDITED : NETWORK) : PLACED;
    this.set(i, kind ? kind.op.c : own, present ? (this.outside.has(i) ? LEFT_OUT : COUNTED) : ABSENT, origin);
  }

  set(i, kind, standing, origin) {
    const { points } = this;
    if (points.standings[i] === COUNTED) this.counts[points.classes[i]]--;
    else if (points.standings[i] === LEFT_OUT) this.leftOut--;
    points.classes[i] = kind;
    points.standings[i] = standing;
    points.origins[i] = origin;
    if (standing === COUNTED) this.counts[kind]++;
    else if (standing === LEFT_OUT) this.leftOut++;
  }

  isLeftOut(x, y) {
    return this.regions.length > 0 && LEAVES_OUT.includes(this.labelAt('tissue', x, y));
  }

  /** The label that the last region on a layer gives a place, or null. */
  labelAt(layer, x, y) {
    for (const { op, undone, bounds } of this.regions) {
      if (undone || LAYER_OF[op.label] !== layer || x < bounds[0] || y < bounds[1] || x > bounds[2] || y > bounds[3]) continue;
      if (covers(op, x, y)) return op.label;
    }
    return null;
  }

  /** What an author can take back and bring again, oldest first: read from the log, so that it survives a reload. */
  stacks(author) {
    const undo = [], redo = [];
    for (const edit of this.inOrder()) {
      if (edit.author !== author) continue;
      const { op } = edit;
      if (op.op === 'undo') move(undo, redo, op.edit);
      else if (op.op === 'redo') {
        move(redo, undo, op.edit);
        if (!undo.includes(op.edit)) undo.push(op.edit); // done again from the history, when it could no longer be redone in turn
      } else {
        undo.push(edit.key);
        redo.length = 0;
      }
    }
    return { undo, redo };
  }

  inOrder() {
    return [...this.edits.values()].sort((a, b) => a.order - b.order);
  }
}

function later(a, b) {
  return a === null || b.order > a.order ? b : a;
}

function latest(edits) {
  return edits.reduce(later, null);
}

function move(from, to, key) {
  const at = from.lastIndexOf(key);
  if (at < 0) return;
  from.splice(at, 1);
  to.push(key);
}
