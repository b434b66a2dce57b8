// What the pointer and the keys do to nuclei and regions. Turns gestures into edits; knows nothing of the server.

import { recallJson, remember } from './memory.js';
import { ABSENT, NETWORK } from './points.js';
import { boundsOf, inPolygon } from './regions.js';
import { frame } from './fieldframe.js';

export const TOOLS = ['pan', 'point', 'rectangle', 'lasso', 'brush', 'polygon', 'eraser', 'field'];
const SLACK_PX = 6; // a hand shakes, a pen more
const PICK_PX = 9, SNAP_UM = 3, MOST_NUMBERS = 3600, MOST_LENGTHS = 50, MOST_IDS = 50_000;
const STORE = 'nucleus:tool';
const HIDDEN = 'There is a mark of a class that is hidden here: show it in the legend first.';
export const LABELS = ['tumour', 'non-tumour', 'exclude', 'reviewed'];
const DRAWING = ['rectangle', 'lasso', 'brush', 'eraser', 'field'];

export class Tools {
  /**
   * stage: { osd, points, review, view, mpp, width, height, commit(op), draw(), repaint(), repaintRegions(), isVisible(i), onField(box),
   * onTool(), walk(step), say(text), explain(text), shownImage, refusesPlaces(isQuiet) }. repaint draws the pointer's layer, draw everything.
   */
  constructor(stage) {
    const { tool, kind, label, brushUm } = { tool: 'pan', kind: 0, label: 'tumour', brushUm: 20, ...recallJson(STORE, {}) };
    const known = TOOLS.includes(tool) && tool !== 'field' && LABELS.includes(label) && kind in [0, 1, 2] && brushUm > 0;
    const chosen = known ? { tool, kind, label, brushUm } : { tool: 'pan', kind: 0, label: 'tumour', brushUm: 20 };
    Object.assign(this, { stage, ...chosen, crosshair: false, panning: false });
    this.reset();
    const { osd } = stage;
    osd.addHandler('canvas-press', (event) => this.onPress(event));
    osd.addHandler('canvas-drag', (event) => this.onDrag(event));
    osd.addHandler('canvas-release', (event) => this.onRelease(event));
    osd.addHandler('canvas-drag-end', (event) => { if (this.tool !== 'pan' && !this.panning) event.preventDefaultAction = true; });
    osd.addHandler('canvas-pinch', () => this.drop());
    osd.addHandler('canvas-click', (event) => { event.preventDefaultAction = true; });
    osd.addHandler('canvas-double-click', (event) => this.onDoubleClick(event));
    osd.canvas.addEventListener('pointermove', (event) => this.onMove(event));
    osd.canvas.addEventListener('pointerleave', () => this.onLeave());
    osd.canvas.addEventListener('pointercancel', () => this.drop());
  }

  /** Forget all that belongs to one image. */
  reset() {
    Object.assign(this, { hover: -1, focus: -1, carried: -1, selection: new Set(), drawing: null, draft: null, press: null, position: null, follows: 'pointer' });
  }

  /** End a gesture in the middle without a trace. */
  drop() {
    Object.assign(this, { press: null, drawing: null, draft: null });
    this.stage.repaintRegions();
  }

  /** Where the pointer is in the image, or null. */
  get pointer() {
    return this.stage.view && this.position && this.toImage(this.position);
  }

  choose(tool) {
    this.tool = tool;
    this.drop();
    this.keep();
  }

  /** Also of an outline that is not closed yet. */
  setLabel(label) {
    this.label = label;
    if (this.tool === 'polygon' && this.draft) this.draft.label = label;
    this.keep();
    this.stage.repaintRegions();
  }

  /** Show the choice, and remember it for this reader. */
  keep() {
    const { tool, kind, label, brushUm } = this;
    remember(STORE, JSON.stringify({ tool, kind, label, brushUm }));
    this.stage.onTool();
  }

  get brush() {
    if (!['brush', 'eraser'].includes(this.tool) || !this.pointer || this.panning) return null;
    return { ...this.pointer, r: this.brushUm / this.stage.mpp };
  }

  /** Position in the viewer → image pixels, two decimals, inside the image. */
  toImage(position) {
    const { view, width, height } = this.stage;
    const round = (value, length) => Math.round(Math.min(length - 0.5, Math.max(-0.5, value)) * 100) / 100;
    return { x: round((position.x - view.x) / view.scale - 0.5, width), y: round((position.y - view.y) / view.scale - 0.5, height) };
  }

  /** The visible nucleus at a place, or the one for which accept(i) holds; -1 where there is none. */
  pick({ x, y }, accept = (i) => this.stage.isVisible(i)) {
    const { points, view } = this.stage;
    return points.nearest(x, y, Math.max(PICK_PX, view.radius * 1.2) / view.scale, accept);
  }

  // Pointer

  onMove(event) {
    const box = this.stage.osd.canvas.getBoundingClientRect();
    this.moveTo({ x: event.clientX - box.left, y: event.clientY - box.top });
  }

  moveTo(position) {
    this.position = position;
    if (this.press) return this.stage.repaint();
    this.follows = 'pointer';
    const before = this.hover;
    this.look();
    if (this.hover !== before || this.brush) this.stage.repaint();
  }

  /** The image or its nuclei may have changed under the pointer. What was just removed under it makes no neighbour the next target. */
  look() {
    const looks = this.stage.shownImage !== null && this.position && !this.press && this.follows !== 'nothing' && !DRAWING.includes(this.tool);
    this.hover = looks ? this.pick(this.pointer) : -1;
  }

  onLeave() {
    Object.assign(this, { hover: -1, position: null });
    this.stage.repaint();
  }

  onPress({ position, originalEvent }) {
    if (this.stage.refusesPlaces(this.tool === 'pan' || this.panning)) return;
    const at = this.toImage(position);
    const { shiftKey, altKey } = originalEvent;
    this.press = { position, at, moved: false, on: this.pick(at), shiftKey, altKey, pans: this.panning };
    if (this.panning) return;
    if (this.tool === 'brush' || this.tool === 'eraser') this.beginStroke(at, altKey);
    else if (this.tool === 'field') this.drawing = frame(at, at, shiftKey, this.stage);
    else if (this.tool === 'lasso' || this.tool === 'rectangle') this.drawing = { pts: [at.x, at.y], closed: true };
  }

  onDrag(event) {
    const { press } = this;
    if (!press) return;
    const away = Math.hypot(event.position.x - press.position.x, event.position.y - press.position.y) > SLACK_PX;
    press.moved ||= away;
    press.shiftKey = event.originalEvent.shiftKey;
    const at = this.toImage(event.position);
    const draws = !press.pans && DRAWING.includes(this.tool);
    const drags = !press.pans && this.tool === 'point' && press.on >= 0;
    if (draws || drags || (!press.moved && !press.pans && this.tool !== 'pan')) event.preventDefaultAction = true;
    if (draws) this.draw(at);
    else if (drags && press.moved) {
      this.drawing = { pts: [press.at.x, press.at.y, at.x, at.y] };
      this.stage.repaint();
    }
  }

  onRelease({ position }) {
    const { press, drawing } = this;
    this.press = null;
    if (!press || press.pans) return;
    const at = this.toImage(position);
    if (this.draft && this.tool !== 'polygon') return this.endStroke();
    if (this.tool === 'field') return this.endField(drawing);
    if (this.tool === 'lasso' || this.tool === 'rectangle') {
      if (!drawing) return; // dropped meanwhile
      this.drawing = null;
      if (press.moved) this.selectInside(drawing.pts, press);
      else this.select([], press);
    } else if (!press.moved) this.click(press.at, press);
    else if (this.tool === 'point' && press.on >= 0) {
      this.drawing = null;
      this.stage.commit({ op: 'move', id: this.stage.review.idOf(press.on), x: at.x, y: at.y });
    }
  }

  onDoubleClick(event) {
    if (this.tool === 'pan') return;
    event.preventDefaultAction = true;
    if (this.tool === 'polygon') this.closePolygon();
  }

  /** A click, or Enter at the crosshair. */
  click(at, { shiftKey = false, altKey = false } = {}) {
    const on = altKey && this.tool === 'point' ? -1 : this.pick(at);
    if (this.tool === 'polygon') return this.addCorner(at);
    if (this.tool !== 'point') return this.select(on < 0 ? [] : [on], { shiftKey, altKey });
    if (on >= 0) return shiftKey ? this.act('delete', [on]) : this.act('class', [on], this.kind);
    if (shiftKey) return;
    const { points } = this.stage;
    if (this.pick(at, (i) => points.standings[i] !== ABSENT && !this.stage.isVisible(i)) >= 0) return this.stage.explain(HIDDEN); // else it would count twice
    const peak = altKey ? -1 : this.findPeak(at);
    if (peak >= 0) this.act('class', [peak], this.kind);
    else this.stage.commit({ op: 'add', x: at.x, y: at.y, c: this.kind });
  }

  /** The nearest peak of the network that does not count, within a few µm of a place, or -1. */
  findPeak({ x, y }) {
    const { points, review, mpp } = this.stage;
    return points.nearest(x, y, SNAP_UM / mpp, (i) => i < review.candidates && points.standings[i] === ABSENT);
  }

  // Nuclei

  /** The nuclei that a key acts on: the selection, else the one under the pointer, the crosshair or in the queue. */
  targets() {
    if (this.selection.size) return [...this.selection];
    if (this.follows === 'focus' && this.focus >= 0) return [this.focus];
    if (this.crosshair) return [this.pick(this.middle())].filter((i) => i >= 0);
    return this.hover >= 0 ? [this.hover] : [];
  }

  middle() {
    return this.toImage({ x: this.stage.view.width / 2, y: this.stage.view.height / 2 });
  }

  /** Class or delete nuclei; what changes nothing is no edit, but agreeing with the network is. */
  act(op, indices, c) {
    const { points, review } = this.stage;
    const needed = indices.filter((i) => (op === 'delete'
      ? points.standings[i] !== ABSENT || points.origins[i] === NETWORK
      : points.standings[i] === ABSENT || points.classes[i] !== c || points.origins[i] === NETWORK));
    for (let at = 0; at < needed.length; at += MOST_IDS) {
      const ids = needed.slice(at, at + MOST_IDS).map((i) => review.idOf(i));
      this.stage.commit(op === 'delete' ? { op, ids } : { op, ids, c });
    }
    return needed.length;
  }

  /** Key 1, 2, 3: class what is targeted, else choose the class that is added. */
  setClass(c) {
    const targets = this.targets();
    if (!targets.length) {
      this.kind = c;
      return this.keep();
    }
    this.finish(() => this.act('class', targets, c));
  }

  remove() {
    if (this.tool === 'polygon' && this.draft) return this.dropCorner();
    const targets = this.targets();
    if (!targets.length) return;
    this.finish(() => this.act('delete', targets));
    if (this.follows === 'pointer') this.follows = 'nothing'; // until the pointer moves
    this.look();
  }

  finish(act) {
    const inQueue = !this.selection.size && this.follows === 'focus';
    act();
    this.selection.clear();
    this.stage.onTool();
    if (inQueue) this.stage.walk(1);
  }

  /** Enter: in the queue "as the network says", at the crosshair a click, else the end of an outline. */
  enter() {
    if (this.follows === 'focus' && this.focus >= 0) return this.agree();
    if (this.crosshair) return this.stage.refusesPlaces() ? undefined : this.click(this.middle());
    if (this.draft) this.closePolygon();
  }

  /** The doubtful nucleus is as the network says. */
  agree() {
    const i = this.focus;
    if (i < 0) return;
    const { points } = this.stage;
    if (points.standings[i] === ABSENT) this.act('delete', [i]);
    else this.act('class', [i], points.classes[i]);
    this.stage.walk(1);
  }

  // Selection

  select(indices, { shiftKey, altKey }) {
    if (!shiftKey && !altKey) this.selection.clear();
    for (const i of indices) {
      if (altKey || (shiftKey && indices.length === 1 && this.selection.has(i))) this.selection.delete(i);
      else this.selection.add(i);
    }
    this.stage.onTool();
    this.stage.repaint();
  }

  selectInside(pts, how) {
    const { points } = this.stage;
    const found = [];
    for (const i of points.within(...boundsOf({ pts }))) if (this.stage.isVisible(i) && inPolygon(pts, points.xy[2 * i], points.xy[2 * i + 1])) found.push(i);
    this.select(found, how);
  }

  selectView() {
    if (this.stage.refusesPlaces(true)) return;
    const { view, points } = this.stage;
    const a = this.toImage({ x: 0, y: 0 }), b = this.toImage({ x: view.width, y: view.height });
    this.select([...points.within(a.x, a.y, b.x, b.y)].filter((i) => this.stage.isVisible(i)), {});
  }

  /** Pick the targeted nucleus up, or put the one that was picked up down at the pointer or crosshair. */
  carry() {
    if (this.stage.refusesPlaces()) return;
    const at = this.crosshair ? this.middle() : this.pointer;
    const { carried } = this;
    this.carried = carried < 0 ? this.targets()[0] ?? -1 : -1;
    if (carried >= 0 && at) this.stage.commit({ op: 'move', id: this.stage.review.idOf(carried), ...at });
    this.stage.say(this.carried >= 0 ? 'Picked up; the same key puts it down.' : carried >= 0 ? 'Put down.' : 'There is no nucleus here.');
    this.stage.repaint();
  }

  /** Drop from the selection what is no longer to be seen. */
  prune() {
    for (const i of this.selection) if (!this.stage.isVisible(i)) this.selection.delete(i);
  }

  cancel() {
    if (this.tool === 'field' && !this.drawing) this.choose('pan');
    Object.assign(this, { press: null, drawing: null, draft: null, focus: -1, carried: -1, follows: 'pointer' });
    this.select([], {});
    this.stage.draw();
  }

  // Regions and outlines

  draw(at) {
    const { drawing, draft } = this;
    if (!drawing && !draft) return; // dropped meanwhile
    if (this.tool === 'field') {
      this.drawing = frame(this.press.at, at, this.press.shiftKey, this.stage);
      return this.stage.repaint();
    }
    if (this.tool === 'rectangle') {
      const [x, y] = drawing.pts;
      drawing.pts = [x, y, at.x, y, at.x, at.y, x, at.y];
      return this.stage.repaint();
    }
    const { pts } = drawing ?? draft;
    const step = Math.max(1.5 / this.stage.view.scale, draft ? draft.r / 8 : 0);
    const length = Math.hypot(at.x - pts.at(-2), at.y - pts.at(-1));
    if (length < step) return;
    pts.push(at.x, at.y);
    if (!draft) return this.stage.repaint();
    this.painted += length;
    if (pts.length >= MOST_NUMBERS || this.painted > MOST_LENGTHS * (this.stage.width + this.stage.height)) {
      const { altKey } = this.press;
      this.endStroke();
      this.beginStroke(at, altKey);
    }
    this.stage.repaintRegions();
  }

  /** A field is drawn one at a time: the tool goes back, so that the next drag moves the image. */
  endField(drawing) {
    this.drawing = null;
    if (!drawing) return; // dropped meanwhile
    if (!drawing.box) {
      this.stage.say(drawing.text);
      return this.stage.repaint();
    }
    this.choose('pan');
    this.stage.onField(drawing.box);
  }

  beginStroke(at, erases) {
    const eraser = this.label === 'reviewed' ? 'unreviewed' : 'erase';
    const { mpp, width, height } = this.stage;
    const r = Math.min(Math.max(width, height), Math.max(0.5, Math.round((this.brushUm / mpp) * 100) / 100));
    this.painted = 0;
    this.draft = { op: 'region', label: erases || this.tool === 'eraser' ? eraser : this.label, shape: 'brush', r, pts: [at.x, at.y] };
    this.stage.repaintRegions();
  }

  endStroke() {
    const { draft } = this;
    this.draft = null;
    this.stage.commit(draft);
  }

  addCorner(at) {
    this.draft ??= { op: 'region', label: this.label, shape: 'polygon', pts: [] };
    const { pts } = this.draft;
    const isAgain = pts.length > 4 && pts.at(-2) === at.x && pts.at(-1) === at.y; // as Enter does it twice at the crosshair
    if (isAgain || pts.length >= MOST_NUMBERS) return this.closePolygon();
    pts.push(at.x, at.y);
    this.drawing = { pts };
    this.stage.repaintRegions();
  }

  dropCorner() {
    this.draft.pts.splice(-2);
    if (!this.draft.pts.length) this.draft = this.drawing = null;
    this.stage.repaintRegions();
  }

  closePolygon() {
    const { draft } = this;
    this.draft = this.drawing = null;
    if (draft && draft.pts.length >= 6) this.stage.commit(draft);
    else this.stage.repaintRegions();
  }

  resizeBrush(factor) {
    this.brushUm = Math.min(500, Math.max(1, Math.round(this.brushUm * factor * 10) / 10));
    this.keep();
    this.stage.repaint();
  }
}
