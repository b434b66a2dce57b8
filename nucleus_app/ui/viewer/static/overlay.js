// Draws the nuclei over OpenSeadragon on a 2D canvas: single pixels while zoomed out, sprites while zoomed in.
// Measured fastest without a GPU, which is what a remote desktop in a hospital has.

import { drawMark, REACH } from './palettes.js';
import { ABSENT, LEFT_OUT } from './points.js';

const SPRITES_FROM_RADIUS = 2.6; // CSS pixels
const LEFT_OUT_GREY = 0xff9a9a9a, LEFT_OUT_ALPHA = 0.35;

/** A canvas of the viewer's size over the image. */
export function addLayer(host) {
  const canvas = document.createElement('canvas');
  canvas.className = 'nv-layer';
  host.appendChild(canvas);
  return canvas;
}

/** Clear a layer, at the size of the view; returns its context. */
export function clearLayer(canvas, view) {
  const width = Math.round(view.width * view.ratio), height = Math.round(view.height * view.ratio);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const g = canvas.getContext('2d');
  g.setTransform(1, 0, 0, 1, 0, 0);
  g.clearRect(0, 0, width, height);
  return g;
}

export class Overlay {
  constructor(host) {
    this.canvas = addLayer(host);
    this.g = this.canvas.getContext('2d');
    this.sprites = new Map();
    this.colours = [];
    this.shown = [true, true, true];
    this.hidden = false;
    this.fine = false;
  }

  setColours(colours) {
    this.colours = colours;
    this.sprites.clear();
  }

  /** view: size (width, height) and ratio of device pixels, scale and origin so that css = image · scale + origin. */
  draw(points, view) {
    clearLayer(this.canvas, view);
    if (this.hidden || !points.n) return;
    if (view.radius < SPRITES_FROM_RADIUS) this.drawPixels(points, view);
    else this.drawSprites(points, view);
  }

  isShown(points, i) {
    return points.standings[i] !== ABSENT && this.shown[points.classes[i]];
  }

  drawPixels(points, view) {
    const { width, height } = this.canvas;
    if (this.image?.width !== width || this.image?.height !== height) {
      this.image = this.g.createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    const { pixels } = this;
    pixels.fill(0);
    const packed = this.colours.map(([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0);
    const reach = Math.max(0, Math.round(view.radius * view.ratio) - 1);
    const scale = view.scale * view.ratio, x0 = view.x * view.ratio, y0 = view.y * view.ratio;
    for (const cell of visibleCells(points, view)) {
      for (const i of cell) {
        if (!this.isShown(points, i)) continue;
        const x = Math.round((points.xy[2 * i] + 0.5) * scale + x0), y = Math.round((points.xy[2 * i + 1] + 0.5) * scale + y0);
        if (x < reach || y < reach || x >= width - reach || y >= height - reach) continue;
        const colour = points.standings[i] === LEFT_OUT ? LEFT_OUT_GREY : packed[points.classes[i]];
        for (let row = y - reach; row <= y + reach; row++) pixels.fill(colour, row * width + x - reach, row * width + x + reach + 1);
      }
    }
    this.g.putImageData(this.image, 0, 0);
  }

  drawSprites(points, view) {
    const scale = view.scale * view.ratio, x0 = view.x * view.ratio, y0 = view.y * view.ratio;
    const known = [];
    for (const cell of visibleCells(points, view)) {
      for (const i of cell) {
        if (!this.isShown(points, i)) continue;
        const which = points.classes[i] * 6 + points.origins[i] * 2 + (points.standings[i] === LEFT_OUT ? 1 : 0);
        const sprite = (known[which] ??= this.sprite(points.classes[i], points.origins[i], which % 2 === 1, view));
        const half = sprite.width / 2;
        // Pixel centres lie at integers, so a point is drawn half an image pixel further in.
        const x = (points.xy[2 * i] + 0.5) * scale + x0, y = (points.xy[2 * i + 1] + 0.5) * scale + y0;
        this.g.drawImage(sprite, Math.round(x - half), Math.round(y - half));
      }
    }
  }

  sprite(kind, origin, isLeftOut, view) {
    const key = `${kind}:${origin}:${isLeftOut}:${this.fine}:${view.radius.toFixed(1)}:${view.ratio}`;
    const known = this.sprites.get(key);
    if (known) return known;
    const sprite = document.createElement('canvas');
    const radius = view.radius * view.ratio;
    sprite.width = sprite.height = 2 * Math.ceil(REACH * radius + 2 * view.ratio);
    const g = sprite.getContext('2d');
    if (isLeftOut) g.globalAlpha = LEFT_OUT_ALPHA;
    drawMark(g, kind, this.colours[kind], sprite.width / 2, sprite.width / 2, radius, origin, this.fine);
    this.sprites.set(key, sprite);
    return sprite;
  }
}

function visibleCells(points, view) {
  const margin = (REACH * view.radius) / view.scale;
  return points.cellsIn(
    -view.x / view.scale - margin,
    -view.y / view.scale - margin,
    (view.width - view.x) / view.scale + margin,
    (view.height - view.y) / view.scale + margin,
  );
}
