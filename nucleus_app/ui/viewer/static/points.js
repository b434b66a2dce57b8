// Nuclei in the browser: a struct of arrays that can grow, and a uniform grid over it. No DOM in here.

const MAGIC = 0x3143554e; // "NUC1", little-endian
const CELL_PX = 128;

export const CLASSES = ['positive', 'negative', 'other'];
export const NETWORK = 0, EDITED = 1, PLACED = 2; // origins
export const ABSENT = 0, COUNTED = 1, LEFT_OUT = 2; // standings

export class PointStore {
  /** Decode the server's bytes (see domain/packing.py): n, xy[2n], score[n], class[n]. Every candidate starts absent. */
  static decode(buffer, width, height) {
    const view = new DataView(buffer);
    if (buffer.byteLength < 8 || view.getUint32(0, true) !== MAGIC) throw new Error('these bytes are no nuclei');
    const n = view.getUint32(4, true);
    return new PointStore(
      new Float32Array(buffer, 8, 2 * n),
      new Float32Array(buffer, 8 + 8 * n, n),
      new Uint8Array(buffer, 8 + 12 * n, n),
      width,
      height,
    );
  }

  static empty() {
    return new PointStore(new Float32Array(0), new Float32Array(0), new Uint8Array(0), 1, 1);
  }

  constructor(xy, scores, classes, width, height) {
    const n = classes.length;
    Object.assign(this, { width, height, n, room: Math.ceil(n * 1.1) + 256 });
    this.xy = grown(xy, 2 * this.room);
    this.scores = grown(scores, this.room);
    this.classes = grown(classes, this.room);
    this.standings = new Uint8Array(this.room);
    this.origins = new Uint8Array(this.room);
    this.columns = Math.max(1, Math.ceil(width / CELL_PX));
    this.rows = Math.max(1, Math.ceil(height / CELL_PX));
    this.cells = new Map();
    for (let i = 0; i < n; i++) this.enter(i);
  }

  /** A new nucleus, absent until someone says otherwise; returns its index. */
  insert(x, y, kind, score) {
    if (this.n === this.room) {
      this.room *= 2;
      for (const name of ['scores', 'classes', 'standings', 'origins']) this[name] = grown(this[name], this.room);
      this.xy = grown(this.xy, 2 * this.room);
    }
    const i = this.n++;
    this.xy[2 * i] = x;
    this.xy[2 * i + 1] = y;
    this.classes[i] = kind;
    this.scores[i] = score;
    this.enter(i);
    return i;
  }

  /** Returns whether it was elsewhere. */
  moveTo(i, x, y) {
    if (this.xy[2 * i] === Math.fround(x) && this.xy[2 * i + 1] === Math.fround(y)) return false;
    const cell = this.cells.get(this.keyOf(i));
    cell.splice(cell.indexOf(i), 1);
    this.xy[2 * i] = x;
    this.xy[2 * i + 1] = y;
    this.enter(i);
    return true;
  }

  enter(i) {
    const key = this.keyOf(i);
    const cell = this.cells.get(key);
    if (cell) cell.push(i);
    else this.cells.set(key, [i]);
  }

  keyOf(i) {
    return this.key(this.xy[2 * i], this.xy[2 * i + 1]);
  }

  key(x, y) {
    const column = Math.min(this.columns - 1, Math.max(0, Math.floor(x / CELL_PX)));
    const row = Math.min(this.rows - 1, Math.max(0, Math.floor(y / CELL_PX)));
    return row * this.columns + column;
  }

  /** Lists of indices of the grid cells that touch a rectangle in image pixels. */
  *cellsIn(left, top, right, bottom) {
    const first = this.key(left, top);
    const last = this.key(right, bottom);
    const c0 = first % this.columns, c1 = last % this.columns;
    for (let row = Math.floor(first / this.columns); row <= Math.floor(last / this.columns); row++) {
      for (let column = c0; column <= c1; column++) {
        const cell = this.cells.get(row * this.columns + column);
        if (cell) yield cell;
      }
    }
  }

  /** Indices of all nuclei, absent ones too, inside a rectangle. */
  *within(left, top, right, bottom) {
    for (const cell of this.cellsIn(left, top, right, bottom)) {
      for (const i of cell) {
        const x = this.xy[2 * i], y = this.xy[2 * i + 1];
        if (x >= left && x <= right && y >= top && y <= bottom) yield i;
      }
    }
  }

  /** The nearest nucleus within reach for which accept(i) holds, or -1. */
  nearest(x, y, reach, accept) {
    let best = -1, least = reach * reach;
    for (const i of this.within(x - reach, y - reach, x + reach, y + reach)) {
      const d = (this.xy[2 * i] - x) ** 2 + (this.xy[2 * i + 1] - y) ** 2;
      if (d <= least && accept(i)) [best, least] = [i, d];
    }
    return best;
  }
}

function grown(array, room) {
  const larger = new array.constructor(room);
  larger.set(array);
  return larger;
}
