// Draws what belongs to the pointer: the nucleus it is over, the selection, what is being drawn, the crosshair. A layer of its
// own, so that moving the mouse never draws the nuclei anew.

import { writeLabel } from './fieldlayer.js';
import { addLayer, clearLayer } from './overlay.js';

const CROSSHAIR_PX = 14, MOST_RINGS = 4000;

export class CursorLayer {
  constructor(host) {
    this.canvas = addLayer(host);
  }

  /** tools: hover, focus, selection, drawing ({ kind, pts } in image pixels), brush ({ x, y, r }) or null, crosshair. */
  draw(points, view, tools) {
    const g = clearLayer(this.canvas, view);
    g.scale(view.ratio, view.ratio);
    const at = (x, y) => [(x + 0.5) * view.scale + view.x, (y + 0.5) * view.scale + view.y];
    const ring = (i, radius, colour, dash = []) => {
      g.setLineDash(dash);
      outline(g, colour, () => g.arc(...at(points.xy[2 * i], points.xy[2 * i + 1]), radius, 0, 2 * Math.PI));
    };
    const reach = Math.max(6, view.radius * 1.9);
    let drawn = 0;
    for (const i of tools.selection) {
      if (drawn++ > MOST_RINGS) break;
      ring(i, Math.max(3.5, view.radius * 1.5), '#00b7ff');
    }
    if (tools.carried >= 0) ring(tools.carried, reach + 2, '#00b7ff', [2, 2]);
    if (tools.focus >= 0) ring(tools.focus, reach + 5, '#ff6a00', [5, 3]);
    if (tools.hover >= 0) ring(tools.hover, reach, '#ffffff');
    g.setLineDash([]);
    if (tools.drawing) {
      outline(g, '#00b7ff', () => {
        const { pts } = tools.drawing;
        for (let i = 0; i < pts.length; i += 2) g.lineTo(...at(pts[i], pts[i + 1]));
        if (tools.drawing.closed) g.closePath();
      });
      if (tools.drawing.text) writeLabel(g, tools.drawing.text, ...at(tools.drawing.pts[6], tools.drawing.pts[7]).map((value, i) => value + 3 * i));
    }
    if (tools.brush) outline(g, '#ffffff', () => g.arc(...at(tools.brush.x, tools.brush.y), Math.max(1, tools.brush.r * view.scale), 0, 2 * Math.PI));
    if (tools.crosshair) {
      const x = view.width / 2, y = view.height / 2;
      outline(g, '#ffffff', () => {
        g.moveTo(x - CROSSHAIR_PX, y);
        g.lineTo(x + CROSSHAIR_PX, y);
        g.moveTo(x, y - CROSSHAIR_PX);
        g.lineTo(x, y + CROSSHAIR_PX);
      });
    }
  }
}

/** A coloured line on a dark one, to be seen on any tissue. */
function outline(g, colour, path) {
  for (const [style, width] of [['rgba(0, 0, 0, 0.7)', 4], [colour, 2]]) {
    g.beginPath();
    path();
    g.lineWidth = width;
    g.strokeStyle = style;
    g.stroke();
  }
}
