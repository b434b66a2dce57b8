// Colours and shapes of the three classes. Shapes differ in every palette, so that colour is never the only mark.

export const PALETTES = {
  paper: { title: 'Paper (yellow, red, green)', colours: [[255, 225, 0], [230, 25, 25], [0, 165, 70]] },
  qupath: { title: 'QuPath (red, blue, grey)', colours: [[250, 62, 62], [112, 112, 225], [120, 120, 120]] },
  safe: { title: 'Colour-blind safe', colours: [[213, 94, 0], [0, 114, 178], [0, 158, 115]] },
};

export const TITLES = ['Immunopositive tumour', 'Immunonegative tumour', 'Non-tumour'];

/** Draw one class's mark (disc, ring, square) of radius r centred at (x, y). */
export function drawMark(g, kind, colour, x, y, r) {
  const css = `rgb(${colour})`;
  g.beginPath();
  if (kind === 2) {
    const half = r * 0.72;
    g.rect(x - half, y - half, 2 * half, 2 * half);
  } else {
    g.arc(x, y, kind === 0 ? r * 0.8 : r, 0, 2 * Math.PI);
  }
  g.lineJoin = 'round';
  if (kind === 0) {
    g.fillStyle = css;
    g.fill();
    g.lineWidth = Math.max(1, r * 0.18);
    g.strokeStyle = 'rgba(0, 0, 0, 0.75)';
    g.stroke();
    return;
  }
  g.lineWidth = Math.max(2.5, r * 0.55);
  g.strokeStyle = 'rgba(255, 255, 255, 0.75)';
  g.stroke();
  g.lineWidth = Math.max(1.5, r * 0.3);
  g.strokeStyle = css;
  g.stroke();
}
