// A slide on the screen of the picker: OpenSeadragon, the brown map and the frames over it, and what the pointer does there.
// One stage for one showing: OpenSeadragon does not take it well to be hidden.

import { el } from './element.js';
import { FieldLayer } from './fieldlayer.js';
import { BROWN, HeatLayer } from './heatlayer.js';
import { fit, viewOf } from './looking.js';
import { Magnification } from './magnification.js';
import { createOsd } from './osd.js';
import { drawBar } from './scalebar.js';
import { describeBox, holds, moved, rectangleOn, toImageBox } from './slidebox.js';
import { Tiles } from './tiles.js';
import { findView, keepView } from './views.js';

const SLACK_PX = 4, LEAST_PX = 8; // on the screen: less is a slip of the hand
const USUAL_MPP = 0.5, ZOOM = 1.5;
const PAN = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };

export class SlideStage {
  /** slide: as the server lists it. handlers: onDraft(box or null), onClick(place on the slide), onReady(), onFailed(). */
  constructor(host, base, slide, handlers) {
    Object.assign(this, { slide, handlers, draft: null, press: null, pointer: null, address: `${base}nucleus/slides/${slide.key}/${slide.id}` });
    this.node = el('div', { class: 'nv-picker-osd', tabindex: 0, role: 'application', 'aria-label': 'The slide. Arrows move it, + and − zoom, F shows all of it. “Place in the middle of the view” makes a field.' });
    host.append(this.node);
    this.osd = createOsd(this.node, { dblClickToZoom: false });
    this.tiles = new Tiles(this.osd);
    this.heat = new HeatLayer(this.osd.canvas, BROWN);
    this.fields = new FieldLayer(this.osd.canvas);
    this.bar = el('div', { class: 'nv-bar' });
    this.magnification = slide.mpp ? new Magnification(slide.mpp, (scale, isPointer) => this.magnify(scale, isPointer)) : null;
    if (this.magnification) this.node.append(this.magnification.node);
    this.node.append(this.bar, el('div', { class: 'nv-picker-key' }, this.heat.key));
    this.listen();
    this.load();
  }

  listen() {
    const { osd, node } = this, gestures = { press: 'onPress', drag: 'onDrag', 'drag-end': 'onDragEnd', release: 'onRelease', click: 'onClick' };
    osd.addHandler('open', () => this.onOpen());
    osd.addHandler('open-failed', () => this.handlers.onFailed());
    osd.addHandler('update-viewport', () => this.draw());
    osd.addHandler('resize', () => requestAnimationFrame(() => this.draw()));
    osd.addHandler('animation-finish', () => this.keepView());
    for (const [name, method] of Object.entries(gestures)) osd.addHandler(`canvas-${name}`, (event) => this[method](event));
    node.addEventListener('pointerdown', () => node.focus({ preventScroll: true }), true);
    osd.canvas.addEventListener('pointermove', (event) => {
      const box = osd.canvas.getBoundingClientRect();
      this.pointer = { x: event.clientX - box.left, y: event.clientY - box.top };
      this.showCursor();
    });
    osd.canvas.addEventListener('pointerleave', () => { this.pointer = null; });
  }

  load() {
    this.osd.open(`${this.address}.dzi`);
  }

  destroy() {
    if (!this.osd) return;
    this.keepView();
    this.osd.destroy();
    this.osd = null;
    this.node.remove();
  }

  get item() {
    return this.osd?.world.getItemAt(0) ?? null;
  }

  onOpen() {
    const kept = findView(this.slide.key);
    if (kept) this.osd.viewport.fitBounds(new window.OpenSeadragon.Rect(...kept), true);
    this.draw();
    this.handlers.onReady();
  }

  keepView() {
    if (this.item) keepView(this.slide.key, this.osd.viewport.getBounds());
  }

  // Showing

  /** fields: [{ image, box }] in their order; pointed: the image of the one that the list points at. */
  setFields(fields) {
    this.fields.fields = fields.map(({ image, box }, i) => ({ id: image, n: i + 1, name: '', box: toImageBox(box), isUsed: true }));
    this.draw();
  }

  point(image) {
    this.fields.pointed = image;
    this.draw();
  }

  setDraft(box) {
    this.draft = box;
    this.fields.draft = box && { box: toImageBox(box), text: describeBox(box, this.slide) };
    this.draw();
  }

  /** map: the server's, or null. */
  setBrown(map) {
    this.heat.set(map);
    this.draw();
  }

  draw() {
    const { item, slide } = this;
    if (!item) return;
    this.view = viewOf({ osd: this.osd, mpp: slide.mpp || USUAL_MPP, width: slide.width_px, height: slide.height_px }, item);
    for (const layer of [this.heat, this.fields]) layer.draw(this.view);
    drawBar(this.bar, slide.mpp ? this.view.scale / slide.mpp : 0);
    this.magnification?.show(this.view.scale, item.viewportToImageZoom(this.osd.viewport.getMinZoom()));
    this.showCursor();
  }

  showCursor() {
    this.node.dataset.over = this.view && this.pointer && this.isMovable(this.placeAt(this.pointer)) ? 'draft' : 'slide';
  }

  // Looking

  fit(box) {
    if (!this.item) return;
    fit({ osd: this.osd }, box && toImageBox(box));
    this.draw();
  }

  /** scale: pixels of the screen for one of the slide. The middle stays where it is. After a click Enter scores the draft again. */
  magnify(scale, isPointer) {
    if (!this.item) return;
    if (isPointer) this.node.focus({ preventScroll: true });
    this.osd.viewport.zoomTo(this.item.imageToViewportZoom(scale));
    this.osd.viewport.applyConstraints();
  }

  /** What a key does to the view; returns whether it did anything. */
  onKey(key) {
    const { viewport } = this.osd;
    if (!this.item) return false;
    if (PAN[key]) viewport.panBy(new window.OpenSeadragon.Point(...PAN[key]).divide(viewport.getZoom(true)));
    else if (['f', 'F', '0'].includes(key)) viewport.goHome();
    else if (['+', '='].includes(key)) viewport.zoomBy(ZOOM);
    else if (key === '-') viewport.zoomBy(1 / ZOOM);
    else return false;
    viewport.applyConstraints();
    return true;
  }

  /** A place on the screen → on the slide. */
  placeAt(position) {
    const { view } = this;
    return { x: (position.x - view.x) / view.scale, y: (position.y - view.y) / view.scale };
  }

  /** The corners of what is seen, as places on the slide: [from, to]; null before it is there. */
  seen() {
    this.draw(); // it may be on its way there
    return this.view ? this.corners() : null;
  }

  corners() {
    const { width, height } = this.view;
    return [this.placeAt({ x: 0, y: 0 }), this.placeAt({ x: width, y: height })];
  }

  // Pointer

  /** Whether a drag that begins here moves the draft: one that fills the view is looked at instead. */
  isMovable(place) {
    if (!this.draft || !holds(this.draft, place)) return false;
    return !this.corners().every((corner) => holds(this.draft, corner));
  }

  onPress({ position, originalEvent }) {
    if (!this.view) return;
    const at = this.placeAt(position), { draft } = this;
    this.press = { position, at, before: draft, hasMoved: false, does: originalEvent.shiftKey ? 'draw' : this.isMovable(at) ? 'move' : 'pan' };
  }

  onDrag(event) {
    const { press } = this;
    if (!press) return void (event.preventDefaultAction = true); // dropped meanwhile
    press.hasMoved ||= Math.hypot(event.position.x - press.position.x, event.position.y - press.position.y) > SLACK_PX;
    event.preventDefaultAction = press.does !== 'pan' || !press.hasMoved;
    if (press.does === 'pan' || !press.hasMoved) return;
    const at = this.placeAt(event.position), way = { x: at.x - press.at.x, y: at.y - press.at.y };
    if (press.does === 'move') this.handlers.onDraft(moved(press.before, way, this.slide));
    else this.handlers.onDraft(this.drawn(press.at, at));
  }

  /** Null while it is only a slip of the hand. */
  drawn(from, to) {
    const box = rectangleOn(from, to, this.slide), least = LEAST_PX / this.view.scale;
    return Math.min(box[2] - box[0], box[3] - box[1]) < Math.max(1, least) ? null : box;
  }

  onDragEnd(event) {
    if (this.press?.does !== 'pan') event.preventDefaultAction = true; // no flick
  }

  onRelease() {
    const { press, draft } = this;
    if (press?.does === 'draw' && press.hasMoved && !draft) this.handlers.onDraft(press.before);
  }

  onClick(event) {
    const { press, slide } = this;
    this.press = null;
    if (!press || press.hasMoved || press.does === 'draw') return;
    const place = this.placeAt(event.position);
    if (holds([0, 0, slide.width_px, slide.height_px], place)) this.handlers.onClick(place);
  }

  /** The gesture ends without a trace; returns whether there was one. */
  drop() {
    const { press } = this, isOne = Boolean(press?.hasMoved && press.does !== 'pan');
    if (!isOne) return false;
    this.press = null;
    this.handlers.onDraft(press.before);
    return true;
  }
}
