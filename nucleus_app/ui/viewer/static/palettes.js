// Colours and shapes of the three classes. Shapes differ in every palette, so that colour is never the only mark.

import { EDITED, PLACED } from './points.js';

export const PALETTES = {
  paper: { title: 'Paper (yellow, red, green)', colours: [[255, 225, 0], [230, 25, 25], [0, 165, 70]] },
  qupath: { title: 'QuPath (red, blue, grey)', colours: [[250, 62, 62], [112, 112, 225], [120, 120, 120]] },
  safe: { title: 'Colour-blind safe', colours: [[213, 94, 0], [0, 114, 178], [0, 158, 115]] },
};

export const TITLES = ['Immunopositive tumour', 'Immunonegative tumour', 'Non-tumour'];
export const NOUNS = ['positive', 'negative', 'non-tumour'];
export const REGION_COLOURS = { tumour: [214, 51, 108], 'non-tumour': [11, 114, 133], exclude: [40, 40, 40], reviewed: [103, 65, 217] };
export const REACH = 1.75; // how far a mark may reach beyond its radius, in radii

/**
 * One class's mark (disc, ring, square) of radius r at (x, y). An edited nucleus has a ring around it, a placed one a cross
 * behind it as well; fine: outlines only, so that the tissue shows.
 */
export function drawMark(g, kind, colour, x, y, r, origin = 0, fine = false) {
  const css = `rgb(${colour})`;
  if (origin === PLACED) stroke(g, () => cross(g, x, y, r), r);
  if (origin === EDITED || origin === PLACED) {
    stroke(g, () => {
      g.beginPath();
      g.arc(x, y, r * 1.45, 0, 2 * Math.PI);
    }, r);
  }
  g.beginPath();
  if (kind === 2) {
    const half = r * 0.72;
    g.rect(x - half, y - half, 2 * half, 2 * half);
  } else {
    g.arc(x, y, kind === 0 ? r * 0.8 : r, 0, 2 * Math.PI);
  }
  g.lineJoin = 'round';
  if (kind === 0 && !fine) {
    g.fillStyle = css;
    g.fill();
    g.lineWidth = Math.max(1, r * 0.18);
    g.strokeStyle = 'rgba(0, 0, 0, 0.75)';
    g.stroke();
    return;
  }
  g.lineWidth = fine ? Math.max(2, r * 0.3) : Math.max(2.5, r * 0.55);
  g.strokeStyle = kind === 0 ? 'rgba(0, 0, 0, 0.75)' : 'rgba(255, 255, 255, 0.75)';
  g.stroke();
  g.lineWidth = fine ? Math.max(1, r * 0.15) : Math.max(1.5, r * 0.3);
  g.strokeStyle = css;
  g.stroke();
}

function cross(g, x, y, r) {
  g.beginPath();
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    g.moveTo(x + 1.45 * r * dx, y + 1.45 * r * dy);
    g.lineTo(x + REACH * r * dx, y + REACH * r * dy);
  }
}

/** A black line with a white one under it, to be seen on any tissue. */
function stroke(g, path, r) {
  for (const [colour, width] of [['rgba(255, 255, 255, 0.9)', Math.max(2, r * 0.32)], ['rgba(0, 0, 0, 0.9)', Math.max(1, r * 0.14)]]) {
    path();
    g.lineWidth = width;
    g.strokeStyle = colour;
    g.stroke();
  }
}
