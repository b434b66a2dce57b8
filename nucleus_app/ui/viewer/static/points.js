// Nuclei in the browser: a struct of arrays and a uniform grid over it. No DOM in here.

const MAGIC = 0x3143554e; // "NUC1", little-endian
const CELL_PX = 128;

export const CLASSES = ['positive', 'negative', 'other'];

export class PointStore {
  /** Decode the server's bytes (see domain/packing.py): n, xy[2n], score[n], class[n]. */
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
    Object.assign(this, { xy, scores, classes, width, height, n: classes.length });
    this.columns = Math.max(1, Math.ceil(width / CELL_PX));
    this.rows = Math.max(1, Math.ceil(height / CELL_PX));
    this.cells = new Map();
    for (let i = 0; i < this.n; i++) {
      const key = this.key(xy[2 * i], xy[2 * i + 1]);
      const cell = this.cells.get(key);
      if (cell) cell.push(i);
      else this.cells.set(key, [i]);
    }
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
}
