// Draws the boxes of a case's fields over the image, thin, each with its number and name.

import { addLayer, clearLayer } from './overlay.js';

const FONT = '600 11px system-ui, sans-serif', LABEL_PX = 16, NAMED_FROM_PX = 46;

export class FieldLayer {
  constructor(host) {
    this.canvas = addLayer(host);
    Object.assign(this, { fields: [], pointed: null, spot: null, draft: null });
  }

  /**
   * view: as of the other layers. Fields: [{ id, n, name, box, isUsed }], name '': only its number; pointed: the id of the one that a list points
   * at; spot: a suggested box; draft: { box, text }, one that is being chosen.
   */
  draw(view) {
    const g = clearLayer(this.canvas, view);
    g.scale(view.ratio, view.ratio);
    for (const field of this.fields) this.field(g, view, field);
    if (this.spot) frame(g, toScreen(this.spot, view), '#ffb000', 2.5, [7, 4]);
    if (this.draft) this.drawDraft(g, view);
  }

  field(g, view, { id, n, name, box, isUsed }) {
    const [left, top, right, bottom] = toScreen(box, view);
    if (right < 0 || bottom < 0 || left > view.width || top > view.height) return;
    frame(g, [left, top, right, bottom], isUsed ? '#ffffff' : '#c4c9d1', id === this.pointed ? 3 : 1.5);
    const text = !name ? `${n}` : right - left < NAMED_FROM_PX ? '' : fit(g, `${n}  ${name}`, right - left - 12);
    if (text) writeLabel(g, text, Math.max(left, 0), top >= LABEL_PX + 2 ? top - LABEL_PX - 1 : Math.max(top, 0) + 1);
  }

  /** Its size is written under it, or at the lower edge of the view. */
  drawDraft(g, view) {
    const [left, top, right, bottom] = toScreen(this.draft.box, view);
    if (right < 0 || bottom < 0 || left > view.width || top > view.height) return;
    frame(g, [left, top, right, bottom], '#ffb000', 2.5);
    writeLabel(g, this.draft.text, Math.max(left, 0), Math.min(bottom + 3, view.height - LABEL_PX));
  }
}

/** A coloured line on a dark one, to be seen on any tissue. */
function frame(g, [left, top, right, bottom], colour, width, dash = []) {
  g.setLineDash(dash);
  for (const [style, line] of [['rgba(0, 0, 0, 0.65)', width + 2], [colour, width]]) {
    g.lineWidth = line;
    g.strokeStyle = style;
    g.strokeRect(left, top, right - left, bottom - top);
  }
  g.setLineDash([]);
}

/** A box in image pixels, whose pixel centres are at integers, on the screen. */
function toScreen([left, top, right, bottom], { scale, x, y }) {
  return [(left + 0.5) * scale + x, (top + 0.5) * scale + y, (right + 0.5) * scale + x, (bottom + 0.5) * scale + y];
}

/** Text on a dark ground, its upper left corner at (x, y). */
export function writeLabel(g, text, x, y) {
  g.font = FONT;
  g.fillStyle = 'rgba(20, 24, 32, 0.78)';
  g.fillRect(x, y, g.measureText(text).width + 10, LABEL_PX);
  g.fillStyle = '#ffffff';
  g.textBaseline = 'middle';
  g.fillText(text, x + 5, y + LABEL_PX / 2 + 0.5);
}

function fit(g, text, width) {
  g.font = FONT;
  let kept = text;
  while (kept.length > 1 && g.measureText(kept === text ? kept : `${kept}…`).width > width) kept = kept.slice(0, -1);
  return kept === text ? kept : `${kept.trimEnd()}…`;
}
