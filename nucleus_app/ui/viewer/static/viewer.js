// The viewer: OpenSeadragon, the overlay of nuclei, the panel. Talks to our own routes by fetch; Gradio only says
// which case is open and brings notices.

import { Overlay } from './overlay.js';
import { PALETTES } from './palettes.js';
import { Panel } from './panel.js';
import { PointStore } from './points.js';
import { drawBar } from './scalebar.js';

const BUSY_MS = 700, IDLE_MS = 8000, MARK_UM = 2.6;
const BUSY = ['queued', 'running'];
const PALETTE_KEY = 'nucleus:palette';

export function mount({ element, props, trigger, watch, base }) {
  return new Viewer(element, props, trigger, watch, base);
}

class Viewer {
  constructor(element, props, trigger, watch, base) {
    Object.assign(this, { element, props, trigger, base, points: PointStore.empty(), openId: null, shownScoring: null, list: [] });
    this.root = element.querySelector('.nv-root');
    const stage = element.querySelector('.nv-stage');
    this.osd = window.OpenSeadragon({
      element: stage, prefixUrl: '', showNavigationControl: false, showNavigator: true, navigatorPosition: 'TOP_RIGHT',
      navigatorSizeRatio: 0.16, navigatorAutoFade: false, drawer: 'canvas', keyboardNavEnabled: false, animationTime: 0.25, maxZoomPixelRatio: 8,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true }, imageLoaderLimit: 6,
    });
    this.overlay = new Overlay(this.osd.canvas);
    this.bar = document.createElement('div');
    this.bar.className = 'nv-bar';
    stage.appendChild(this.bar);
    this.panel = new Panel(element.querySelector('.nv-panel'), base, {
      onPalette: (name) => this.setPalette(name),
      onToggle: (kind, shown) => { this.overlay.shown[kind] = shown; this.draw(); },
      onOpen: (id) => { this.open(id); this.trigger('select', { id }); },
    });
    this.panel.palette = PALETTES[localStorage.getItem(PALETTE_KEY)] ? localStorage.getItem(PALETTE_KEY) : 'paper';
    this.overlay.setColours(PALETTES[this.panel.palette].colours);
    this.osd.addHandler('update-viewport', () => this.draw());
    this.osd.addHandler('resize', () => requestAnimationFrame(() => this.draw()));
    this.root.addEventListener('keydown', (event) => this.onKey(event));
    this.root.addEventListener('keyup', (event) => { if (event.key.toLowerCase() === 'h') this.hide(false); });
    this.root.addEventListener('focusout', () => this.hide(false));
    stage.addEventListener('pointerdown', () => this.root.focus({ preventScroll: true }), true);
    watch('value', () => this.onValue());
    this.onValue();
  }

  /** Gradio's message: {image, notices, rev}. Python always raises rev, so that the same case can be opened again. */
  onValue() {
    const value = this.props.value || {};
    if (value.notices) this.panel.showNotices(value.notices);
    if (value.image) this.open(value.image);
    this.refresh();
  }

  async open(id) {
    if (id === this.openId) return this.refresh();
    this.openId = id;
    this.shownScoring = null;
    this.points = PointStore.empty();
    Object.assign(this.root.dataset, { image: id, ready: '', n: 0 });
    const url = new URL(window.location.href);
    url.searchParams.set('image', id);
    window.history.replaceState(window.history.state, '', url);
    return this.refresh();
  }

  /** Read the cases, show the open one, fetch its nuclei when a new scoring is done; again soon while one is busy. */
  async refresh() {
    clearTimeout(this.timer);
    const turn = (this.turn = (this.turn || 0) + 1);
    let wait = IDLE_MS;
    try {
      const { cases: list, worker_failing: failing } = await this.json('nucleus/api/images');
      if (turn !== this.turn) return;
      this.list = list;
      this.panel.showCases(list, this.openId);
      // The list holds the latest cases only; an older one may be open through its address.
      const data = list.find((c) => c.id === this.openId) ?? (this.openId ? await this.json(`nucleus/api/images/${this.openId}`) : null);
      if (data) await this.showCase(data);
      if (list.some((c) => BUSY.includes(c.state))) wait = BUSY_MS;
      this.root.dataset.connected = failing ? 'no-worker' : 'yes';
    } catch (error) {
      this.root.dataset.connected = 'no';
      wait = 2000;
    }
    if (turn === this.turn) this.timer = setTimeout(() => this.refresh(), wait);
  }

  async showCase(data) {
    const text = JSON.stringify(data);
    if (text !== this.shownText) {
      this.shownText = text;
      this.data = data;
      this.panel.showCase(data);
    }
    this.root.dataset.state = data.state;
    if (this.root.dataset.open !== String(data.id)) {
      this.root.dataset.open = data.id;
      this.osd.addOnceHandler('open', () => this.draw());
      this.osd.open(`${this.base}nucleus/tiles/${data.blob}/${data.id}.dzi`);
    }
    if (data.scoring !== this.shownScoring && this.points.n) {
      this.points = PointStore.empty(); // nuclei of an earlier scoring would contradict the numbers
      this.draw();
    }
    if (data.state !== 'done' || data.scoring === this.shownScoring) return;
    const answer = await fetch(`${this.base}nucleus/api/images/${data.id}/nuclei`, { cache: 'no-store' });
    if (!answer.ok) throw new Error(`nuclei: ${answer.status}`);
    const points = PointStore.decode(await answer.arrayBuffer(), data.width_px, data.height_px);
    if (data.id !== this.openId) return;
    this.points = points;
    this.shownScoring = data.scoring;
    this.draw();
    Object.assign(this.root.dataset, { n: points.n, ready: data.scoring });
  }

  draw() {
    const item = this.osd.world.getItemAt(0);
    if (!item) return;
    const size = this.osd.viewport.getContainerSize();
    const origin = this.osd.viewport.pixelFromPoint(item.imageToViewportCoordinates(0, 0), true);
    const far = this.osd.viewport.pixelFromPoint(item.imageToViewportCoordinates(1000, 0), true);
    const scale = (far.x - origin.x) / 1000;
    const mpp = this.data?.mpp;
    const radius = Math.max(1.2, Math.min(9, (MARK_UM / (mpp || 0.5)) * scale));
    this.view = { width: size.x, height: size.y, ratio: window.devicePixelRatio || 1, scale, x: origin.x, y: origin.y, radius };
    this.overlay.draw(this.points, this.view);
    drawBar(this.bar, mpp ? scale / mpp : 0);
  }

  setPalette(name) {
    localStorage.setItem(PALETTE_KEY, name);
    this.root.dataset.palette = name;
    this.overlay.setColours(PALETTES[name].colours);
    this.draw();
  }

  hide(hidden) {
    if (this.overlay.hidden === hidden) return;
    this.overlay.hidden = hidden;
    this.root.dataset.hidden = hidden;
    this.draw();
  }

  onKey(event) {
    if (event.target.matches('input, textarea, select, [contenteditable]') || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    const pan = { arrowleft: [-0.1, 0], arrowright: [0.1, 0], arrowup: [0, -0.1], arrowdown: [0, 0.1] }[key];
    const viewport = this.osd.viewport;
    if (key === 'h') this.hide(true);
    else if (key === 'f' || key === '0') viewport.goHome();
    else if (key === '+' || key === '=') viewport.zoomBy(1.5);
    else if (key === '-') viewport.zoomBy(1 / 1.5);
    else if (pan) viewport.panBy(new window.OpenSeadragon.Point(...pan).divide(viewport.getZoom(true)));
    else return;
    viewport.applyConstraints();
    event.preventDefault();
    event.stopPropagation();
  }

  async json(path) {
    const answer = await fetch(this.base + path, { cache: 'no-store' });
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer.json();
  }
}
