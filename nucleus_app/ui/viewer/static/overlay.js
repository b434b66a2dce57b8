// Draws the nuclei over OpenSeadragon on a 2D canvas: single pixels while zoomed out, sprites while zoomed in.
// Measured fastest without a GPU, which is what a remote desktop in a hospital has.

import { drawMark } from './palettes.js';

const SPRITES_FROM_RADIUS = 2.6; // CSS pixels

export class Overlay {
  constructor(host) {
    this.canvas = document.createElement('canvas');
    this.canvas.className = 'nv-layer';
    host.appendChild(this.canvas);
    this.g = this.canvas.getContext('2d');
    this.sprites = new Map();
    this.colours = [];
    this.shown = [true, true, true];
    this.hidden = false;
  }

  setColours(colours) {
    this.colours = colours;
    this.sprites.clear();
  }

  /** view: size (width, height) and ratio of device pixels, scale and origin so that css = image · scale + origin. */
  draw(points, view) {
    const width = Math.round(view.width * view.ratio), height = Math.round(view.height * view.ratio);
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    this.g.clearRect(0, 0, width, height);
    if (this.hidden || !points.n) return;
    if (view.radius < SPRITES_FROM_RADIUS) this.drawPixels(points, view, width, height);
    else this.drawSprites(points, view);
  }

  drawPixels(points, view, width, height) {
    const image = this.g.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const packed = this.colours.map(([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0);
    const reach = Math.max(0, Math.round(view.radius * view.ratio) - 1);
    const scale = view.scale * view.ratio, x0 = view.x * view.ratio, y0 = view.y * view.ratio;
    for (const cell of this.visibleCells(points, view)) {
      for (const i of cell) {
        const kind = points.classes[i];
        if (!this.shown[kind]) continue;
        const x = Math.round((points.xy[2 * i] + 0.5) * scale + x0), y = Math.round((points.xy[2 * i + 1] + 0.5) * scale + y0);
        if (x < reach || y < reach || x >= width - reach || y >= height - reach) continue;
        for (let row = y - reach; row <= y + reach; row++) {
          pixels.fill(packed[kind], row * width + x - reach, row * width + x + reach + 1);
        }
      }
    }
    this.g.putImageData(image, 0, 0);
  }

  drawSprites(points, view) {
    const sprites = this.colours.map((_, kind) => this.sprite(kind, view));
    const scale = view.scale * view.ratio, x0 = view.x * view.ratio, y0 = view.y * view.ratio;
    for (const cell of this.visibleCells(points, view)) {
      for (const i of cell) {
        const kind = points.classes[i];
        if (!this.shown[kind]) continue;
        const sprite = sprites[kind], half = sprite.width / 2;
        // Pixel centres lie at integers, so a point is drawn half an image pixel further in.
        const x = (points.xy[2 * i] + 0.5) * scale + x0, y = (points.xy[2 * i + 1] + 0.5) * scale + y0;
        this.g.drawImage(sprite, Math.round(x - half), Math.round(y - half));
      }
    }
  }

  visibleCells(points, view) {
    const margin = view.radius / view.scale;
    return points.cellsIn(
      -view.x / view.scale - margin,
      -view.y / view.scale - margin,
      (view.width - view.x) / view.scale + margin,
      (view.height - view.y) / view.scale + margin,
    );
  }

  sprite(kind, view) {
    const key = `${kind}:${view.radius.toFixed(1)}:${view.ratio}`;
    const known = this.sprites.get(key);
    if (known) return known;
    const sprite = document.createElement('canvas');
    const radius = view.radius * view.ratio;
    sprite.width = sprite.height = 2 * Math.ceil(radius + 2 * view.ratio);
    drawMark(sprite.getContext('2d'), kind, this.colours[kind], sprite.width / 2, sprite.width / 2, radius);
    this.sprites.set(key, sprite);
    return sprite;
  }
}
