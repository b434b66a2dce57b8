// The viewer: OpenSeadragon, the layers over it, the tools, the panel. Talks to our own routes by fetch; Gradio only says
// which case is open and brings notices.

import { Actions } from './actions.js';
import { CaseDesk } from './casedesk.js';
import { CursorLayer } from './cursor.js';
import { Details } from './details.js';
import { FieldLayer } from './fieldlayer.js';
import { HeatLayer } from './heatlayer.js';
import { describe, placeOf } from './history.js';
import { ask } from './http.js';
import { Keys, KeySheet } from './keys.js';
import { Leaving } from './leaving.js';
import { fit, lookAt, viewOf, walk } from './looking.js';
import { recall, remember } from './memory.js';
import { createOsd } from './osd.js';
import { Overlay } from './overlay.js';
import { NOUNS, PALETTES } from './palettes.js';
import { Panel } from './panel.js';
import { PointStore } from './points.js';
import { RegionLayer } from './regionlayer.js';
import { Review } from './review.js';
import { drawBar } from './scalebar.js';
import { Session } from './session.js';
import { Suggestion } from './suggestion.js';
import { Tiles } from './tiles.js';
import { Toolbar } from './toolbar.js';
import { Tools } from './tools.js';
import { findView, keepView } from './views.js';

const BUSY_MS = 700, IDLE_MS = 8000;
const BUSY = ['queued', 'running'];
const PALETTE_KEY = 'nucleus:palette', READER_KEY = 'nucleus:reader';

export function mount({ element, props, trigger, watch, base }) {
  return new Viewer(element, props, trigger, watch, base);
}

class Viewer {
  constructor(element, props, trigger, watch, base) {
    const points = PointStore.empty();
    Object.assign(this, { element, props, trigger, base, points, review: new Review(points, [1, 1, 1]), session: null, openId: null });
    this.leaving = new Leaving(base, { onStale: (...what) => this.onStale(...what), onEnd: () => this.desk.onLeft(), reader: () => this.reader() });
    this.root = element.querySelector('.nv-root');
    this.stage = element.querySelector('.nv-stage');
    this.osd = createOsd(this.stage, { dblClickToZoom: true });
    this.tiles = new Tiles(this.osd);
    this.details = new Details(this.root);
    this.keys = new Keys();
    this.heat = new HeatLayer(this.osd.canvas);
    this.regions = new RegionLayer(this.osd.canvas);
    this.overlay = new Overlay(this.osd.canvas);
    this.boxes = new FieldLayer(this.osd.canvas);
    this.cursor = new CursorLayer(this.osd.canvas);
    this.tools = new Tools(this);
    this.suggestion = new Suggestion(this);
    this.bar = document.createElement('div');
    this.bar.className = 'nv-bar';
    this.live = document.createElement('div');
    this.live.className = 'nv-say';
    this.live.setAttribute('role', 'status');
    this.stage.append(this.bar, this.live);
    this.actions = new Actions(this, this.keys);
    this.toolbar = new Toolbar(this.stage, this.keys, {
      act: (action) => { this.actions.act(action); this.focus(); },
      onLabel: (label) => { this.tools.setLabel(label); this.focus(); },
    });
    this.sheet = new KeySheet(this.root, this.keys);
    this.keys.onChange = () => this.onTool();
    this.desk = new CaseDesk(this, base, { fields: this.boxes, heat: this.heat });
    this.panel = new Panel(element.querySelector('.nv-panel'), this.panelHandlers(), this.desk);
    this.panel.palette = PALETTES[recall(PALETTE_KEY)] ? recall(PALETTE_KEY) : 'paper';
    this.stage.querySelector('.nv-under').prepend(this.heat.key);
    this.setPalette(this.panel.palette);
    this.listen(watch);
    this.leaving.drain();
    this.onValue();
  }

  listen(watch) {
    this.osd.addHandler('update-viewport', () => this.draw());
    this.osd.addHandler('resize', () => requestAnimationFrame(() => this.draw()));
    this.osd.addHandler('open', () => this.restoreView());
    this.osd.addHandler('open-failed', () => { if (this.shownId === null) this.root.dataset.open = ''; }); // the next refresh tries again
    this.osd.addHandler('animation-finish', () => this.data && keepView(this.data.blob, this.osd.viewport.getBounds()));
    this.actions.listen(this.root);
    window.addEventListener('beforeunload', (event) => { if (this.session?.outbox.pending || !this.leaving.isEmpty) event.preventDefault(); });
    this.stage.addEventListener('pointerdown', (event) => { if (!event.target.closest('button, input, select')) this.focus(); }, true);
    watch('value', () => this.onValue());
  }

  focus() {
    this.stage.focus({ preventScroll: true });
  }

  panelHandlers() {
    return {
      onPalette: (name) => this.setPalette(name),
      onToggle: (kind, shown) => { this.overlay.shown[kind] = shown; this.tools.prune(); this.onTool(); this.draw(); },
      onCut: (kind, level, done) => this.setCut(kind, level, done),
      onUndo: (edit) => { if (!this.desk.refuses()) this.session.turn(edit); this.onEdited(); },
      onLook: (edit) => { const place = placeOf(edit, this.review); if (place) this.lookAt(place.x, place.y); },
      onWalk: (step) => this.walk(step),
      onAgree: () => this.tools.agree(),
      onSuggest: () => this.suggestion.look(),
      onAccept: () => this.suggestion.accept(),
      onDismiss: () => this.suggestion.dismiss(),
    };
  }

  setReader(name) {
    remember(READER_KEY, name);
  }

  reader() {
    return recall(READER_KEY) ?? '';
  }

  /** Gradio's message: {image, details, notices, opens, slide, rev}. Python always raises rev, so that the same case can be opened again. */
  onValue() {
    const { image, details, notices, opens, slide } = this.props.value || {};
    if (notices) this.panel.showNotices(notices);
    if (details) this.details.fill(details);
    if (image && !opens && ![null, image].includes(this.openId)) this.trigger('select', { id: this.openId }); // whose details the answer overwrote
    else if (image) this.open(image);
    if (slide) this.desk.slides.open(slide);
    this.refresh();
  }

  // Cases

  /** The reader opens an image here; Gradio fills its details. */
  choose(id) {
    this.open(id);
    this.trigger('select', { id });
  }

  async open(id) {
    if (id === this.openId) return this.refresh();
    this.openId = id;
    this.leaveSession();
    this.root.dataset.image = id;
    this.details.show();
    const url = new URL(window.location.href);
    url.searchParams.set('image', id);
    window.history.replaceState(window.history.state, '', url);
    return this.refresh();
  }

  leaveSession() {
    if (this.session) {
      this.session.close();
      this.leaving.add(this.session.outbox); // what is not saved yet is sent from behind
    }
    this.points = PointStore.empty();
    Object.assign(this, { session: null, review: new Review(this.points, [1, 1, 1]) });
    this.suggestion.reset();
    this.tools.reset();
    Object.assign(this.root.dataset, { ready: '', n: 0 });
    this.regions.update([]);
    this.onTool();
    this.desk.showSign();
    this.draw();
  }

  /** Corrections of a scoring are not taken (any more). */
  onStale(scoring, text, lost) {
    if (lost) this.panel.addNotice('error', `${text} ${lost} correction${lost === 1 ? ' was' : 's were'} not kept.`);
    if (this.session?.scoring !== scoring) return;
    this.leaveSession();
    this.refresh();
  }

  /** The image on the screen, to which a place on it belongs; null while another one is on its way. */
  get shownImage() {
    return this.openId !== null && this.openId === this.data?.id && this.shownId === this.openId ? this.openId : null;
  }

  /** Read the cases, show the open one, fetch its nuclei when a new scoring is done; again soon while one is busy. */
  async refresh() {
    clearTimeout(this.timer);
    const turn = (this.turn = (this.turn || 0) + 1);
    let wait = IDLE_MS;
    try {
      const { images: list, cases, removed, worker_failing: failing } = await ask(`${this.base}nucleus/api/images`);
      if (turn !== this.turn) return;
      // The list holds the latest cases only; an older one may be open through its address.
      const data = list.find((c) => c.id === this.openId) ?? (this.openId ? await this.desk.removal.find(this.openId) : null);
      if (turn !== this.turn) return;
      if (data) await this.showCase({ ...data, ahead: list.filter((c) => BUSY.includes(c.state) && c.scoring < data.scoring).length });
      this.desk.onLists(list, cases, removed);
      this.tiles.again();
      if (list.some((c) => BUSY.includes(c.state))) wait = BUSY_MS;
      this.root.dataset.connected = failing ? 'no-worker' : 'yes';
    } catch (error) {
      this.root.dataset.connected = 'no';
      wait = 2000;
    }
    if (turn === this.turn) this.timer = setTimeout(() => this.refresh(), wait);
  }

  async showCase(data) {
    this.data = data;
    this.desk.open(data.case);
    this.root.dataset.state = data.state;
    if (this.root.dataset.open !== String(data.id)) {
      this.root.dataset.open = data.id;
      this.regions.setSize(data.width_px, data.height_px);
      this.regions.update(this.review.regions);
      this.desk.onImage();
      this.shownId = null; // until its pixels are there
      this.osd.open(`${this.base}nucleus/tiles/${data.blob}/${data.id}.dzi`);
    }
    if (this.session && data.scoring !== this.session.scoring) this.leaveSession(); // its nuclei would contradict the numbers
    this.showNumbers();
    if (data.state === 'done' && !data.refused && !this.session) await this.startSession(data);
  }

  restoreView() {
    if (!this.osd.world.getItemAt(0)?.source.tilesUrl.endsWith(`/${this.data.id}_files/`)) return; // of an image that was left before it came
    this.shownId = this.data.id;
    const view = findView(this.data.blob);
    if (!this.desk.arrive() && view) this.osd.viewport.fitBounds(new window.OpenSeadragon.Rect(...view), true);
    this.draw();
  }

  async startSession(data) {
    const session = await Session.open(this.base, data, {
      ...this.leaving.handlersOf(data.scoring), onChange: (isNews) => this.onSynced(isNews),
      onRefused: (text) => { this.panel.addNotice('error', text); this.onEdited(); },
    });
    if (data.id !== this.openId || this.session) return;
    Object.assign(this, { session, points: session.points, review: session.review });
    this.panel.review.setUpCuts(data.floors, data.thresholds);
    this.panel.review.showSuggestion('none', false);
    session.start();
    this.onEdited();
    this.root.dataset.ready = data.scoring;
  }

  // Edits

  commit(op) {
    if (!this.session) return this.say('There is nothing to correct yet: score the image first.');
    if (!this.desk.refuses() && (op.op === 'cut' || !this.refusesPlaces())) this.session.commit(op);
    this.onEdited();
  }

  refusesPlaces(isQuiet) { return this.desk.refusesPlaces(isQuiet); }

  explain(text) { this.desk.explain(text); }

  /** After any change of the fold, own or others'. */
  onEdited() {
    this.tools.prune();
    this.onTool();
    this.regions.update(this.review.regions);
    this.draw();
    this.showNumbers();
    this.showSaved();
  }

  onSynced(isNews) {
    if (!this.session) return;
    if (isNews) this.onEdited();
    else this.showSaved();
    this.root.dataset.agrees = this.session.agrees ? 'yes' : 'no';
    if (this.session.agrees) this.disagreed = false;
    else if (this.disagreed) this.panel.addNotice('error', 'This page and the server count differently. Load the page again, and tell whoever runs this app.');
    else {
      this.disagreed = true;
      this.leaveSession(); // read everything anew rather than show a wrong count
    }
  }

  showNumbers() {
    const { data, session } = this;
    if (!data) return;
    const numbers = session?.numbers ?? {};
    this.panel.showCase({ ...data, ...numbers, warnings: numbers.warnings ?? data.warnings }, this.desk.shown);
    this.panel.showReview(session !== null);
    if (!session) return;
    this.root.dataset.n = this.review.counts.reduce((sum, n) => sum + n, 0);
    this.panel.review.showCuts(NOUNS.map((_, kind) => this.review.cut(kind)));
    this.panel.review.showDoubt(session.score.open, this.tools.focus >= 0 && session.at >= 0 ? session.at + 1 : null);
    this.panel.review.showHistory(this.review, session.outbox.author);
  }

  showSaved() {
    const { outbox } = this.session ?? {};
    if (!outbox) return;
    Object.assign(this.root.dataset, { pending: outbox.pending, rev: outbox.rev });
    this.panel.review.showSaved(outbox);
    if (!outbox.pending) this.showNumbers();
    this.desk.onOutbox(this.session);
  }

  step(op) {
    const edit = this.desk.refuses() ? null : this.session?.step(op);
    if (this.desk.isSigned) return;
    this.say(edit ? `${op === 'undo' ? 'Undid' : 'Did again'}: ${describe(edit, this.review)}` : `Nothing to ${op}.`);
    if (edit) this.onEdited();
  }

  /** While a slider moves the cut is only shown; when it rests it is an edit. */
  setCut(kind, level, done) {
    if (!this.session) return;
    if (done || this.desk.isSigned) return this.commit({ op: 'cut', c: kind, level });
    this.review.preview(kind, level);
    this.draw();
    this.showNumbers();
  }

  // Looking

  walk(step) {
    walk(this, step);
  }

  lookAt(x, y) {
    lookAt(this, x, y);
    this.draw();
  }

  fit(box) {
    fit(this, box);
    this.draw();
  }

  say(text) {
    this.live.textContent = text;
  }

  onField(box) { this.desk.add(box); }

  isVisible(i) { return this.overlay.isShown(this.points, i); }

  get mpp() { return this.data?.mpp || 0.5; }

  get width() { return this.data?.width_px ?? 1; }

  get height() { return this.data?.height_px ?? 1; }

  draw() {
    const item = this.osd.world.getItemAt(0);
    if (!item) return;
    this.view = viewOf(this, item);
    for (const layer of [this.heat, this.boxes]) layer.draw(this.view);
    this.overlay.draw(this.points, this.view);
    this.tools.look();
    this.repaintRegions();
    drawBar(this.bar, this.data?.mpp ? this.view.scale / this.data.mpp : 0);
  }

  repaintRegions() {
    if (!this.view) return;
    this.regions.draw(this.view, this.overlay.hidden ? null : this.tools.draft, this.suggestion.op);
    this.repaint();
  }

  /** The pointer's layer alone. */
  repaint() {
    if (this.view) this.cursor.draw(this.points, this.view, this.tools);
  }

  setPalette(name) {
    remember(PALETTE_KEY, name);
    this.root.dataset.palette = name;
    this.overlay.setColours(PALETTES[name].colours);
    this.desk.show();
    this.onTool();
    this.draw();
  }

  onTool() {
    const { tool, kind, label, brushUm, selection } = this.tools;
    const counts = selection.size ? [0, 0, 0] : null;
    for (const i of selection) counts[this.points.classes[i]]++;
    Object.assign(this.root.dataset, { tool, kind, selected: selection.size });
    this.toolbar.show({ tool, kind, label, brushUm, selection: counts, colours: this.overlay.colours });
    this.desk?.showFields();
  }

  hide(hidden) {
    if (this.overlay.hidden === hidden) return;
    this.overlay.hidden = hidden;
    this.root.dataset.hidden = hidden;
    for (const { canvas } of [this.regions, this.cursor, this.boxes, this.heat]) canvas.hidden = hidden;
    this.draw();
  }

  pan(held) {
    this.tools.panning = held;
    this.root.dataset.panning = held;
    this.repaint();
  }
}
