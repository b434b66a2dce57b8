// The slide picker: a dialog over the viewer in which fields of a whole slide are chosen, cut at full resolution and scored. It has an address
// of its own (?slide=ID).

import { Address } from './address.js';
import { BrownCard } from './browncard.js';
import { DraftCard } from './draftcard.js';
import { button, el, setText } from './element.js';
import { ask, UNSURE } from './http.js';
import { number } from './numbers.js';
import { SlideAway } from './slideaway.js';
import { squareOn, rectangleOn } from './slidebox.js';
import { SlideFields } from './slidefields.js';
import { SlideStage } from './slidestage.js';

const CUT_MS = 120_000, PRESSED = 'button, a, summary';
const GONE = 'This slide is not on the server, or not any more. Fields that were cut from it are in the list of cases.';
const NOT_SHOWN = 'The slide cannot be shown. This page tries again.';

export class SlideDesk {
  /** host: the viewer's root. handlers: onImage(image), onChanged() when there are new images, poll() → the list anew. */
  constructor(host, base, handlers) {
    Object.assign(this, { base, handlers, id: null, slide: null, most: Infinity, images: [], stage: null, draft: null, isSending: false });
    this.title = el('h2', { tabindex: -1 }, 'Choose fields');
    this.label = el('strong', { class: 'nv-label' });
    this.facts = el('span', { class: 'nv-hint nv-picker-facts' });
    this.lost = el('p', { class: 'nv-lost', role: 'status' });
    this.gone = el('div', { class: 'nv-picker-gone', hidden: true }, el('p', { role: 'status' }, GONE), button('Close', () => this.close()));
    this.stageHost = el('div', { class: 'nv-picker-stage' });
    this.stageSaid = el('p', { class: 'nv-picker-said', role: 'status', hidden: true });
    this.card = new DraftCard({ onScore: () => this.score(), onDrop: () => this.setDraft(null), onMiddle: () => this.placeInMiddle(), onSize: () => this.brown.again() });
    this.brown = new BrownCard(base, { size: () => this.card.mm2, taken: () => this.slide?.fields.length, onMap: (map) => this.showBrown(map), onSpot: (box) => this.goToSpot(box) });
    this.fields = new SlideFields(base, { onOpen: (image) => this.leaveFor(image), onPoint: (image) => this.stage?.point(image) });
    this.away = new SlideAway({ onRemove: () => this.remove() });
    this.body = el('div', { class: 'nv-picker-body', hidden: true }, el('div', { class: 'nv-picker-frame' }, this.stageHost, this.stageSaid),
      el('div', { class: 'nv-picker-side' }, this.card.node, this.brown.node, this.fields.node, this.away.node));
    this.node = el('dialog', { class: 'nv-page nv-picker', 'aria-label': 'Choose fields' },
      el('div', { class: 'nv-page-head' }, this.title, this.label, this.facts, this.lost, button('Close', () => this.close(), { title: 'Back to the image (Esc)' })), this.gone, this.body);
    host.append(this.node);
    this.address = new Address(host, this.node, 'slide', /^[1-9]\d{0,15}$/, (id) => this.show(Number(id)));
    this.node.addEventListener('keydown', (event) => this.onKey(event));
    this.node.addEventListener('keyup', (event) => event.stopPropagation());
    this.node.addEventListener('cancel', (event) => { if (this.drop()) event.preventDefault(); });
    this.node.addEventListener('close', () => this.onClosed());
    this.mark();
  }

  get isOpen() {
    return this.node.open;
  }

  // Opening and closing

  /** What the address asks for, when the page is opened. */
  start() {
    if (this.address.value !== null) this.show(Number(this.address.value));
  }

  open(id) {
    if (this.isOpen && id === this.id) this.handlers.poll();
    else this.address.open(String(id));
  }

  show(id) {
    if (this.isOpen && id === this.id) return;
    if (id !== this.id) this.reset(id);
    if (!this.isOpen) this.node.showModal();
    delete this.node.dataset.connected; // until the list is answered, nothing is known of it
    this.title.focus({ preventScroll: true });
    this.mark();
    this.handlers.poll();
  }

  reset(id) {
    this.dropStage();
    Object.assign(this, { id, slide: null, draft: null });
    this.away.reset();
    this.card.tell('');
    this.card.say('');
    this.label.textContent = this.facts.textContent = '';
    this.body.hidden = this.gone.hidden = true;
  }

  close() {
    this.node.close();
  }

  onClosed() {
    this.dropStage();
    this.away.reset();
    this.card.say('');
    this.mark();
  }

  /** To an image that was cut here; Back leads here again. */
  leaveFor(image) {
    this.address.leave();
    this.handlers.onImage(image);
  }

  dropStage() {
    this.stage?.destroy();
    this.stage = null;
    delete this.node.dataset.ready;
  }

  // What the list tells

  /** slides: the server's list, fetched after the dialog was opened; most: megapixels of a field. */
  onList(slides, most) {
    if (!this.isOpen) return;
    this.most = most;
    this.node.dataset.connected = 'yes';
    setText(this.lost, '');
    const slide = slides.find(({ id }) => id === this.id);
    this.gone.hidden = Boolean(slide);
    this.body.hidden = !slide;
    if (!slide) {
      this.slide = null;
      this.dropStage();
      this.mark();
      return;
    }
    this.slide = slide;
    if (this.stage) this.stage.tiles.again();
    else this.createStage();
    if (!this.stageSaid.hidden) this.stage.load(); // it did not come
    this.update();
  }

  onLost(error) {
    if (!this.isOpen) return;
    this.node.dataset.connected = 'no';
    setText(this.lost, error.status ? error.message : 'The server does not answer. This page tries again.');
  }

  onImages(images) {
    this.images = images;
    if (this.isOpen && this.slide) this.fields.show(this.slide, images);
  }

  createStage() {
    const { slide } = this;
    this.stageSaid.hidden = true;
    const stage = (this.stage = new SlideStage(this.stageHost, this.base, slide, {
      onDraft: (box) => this.setDraft(box), onClick: (place) => this.placeAt(place),
      onReady: () => this.onStage(stage, true), onFailed: () => this.onStage(stage, false),
    }));
    stage.setDraft(this.draft);
    this.brown.open(slide);
  }

  onStage(stage, isReady) {
    if (stage !== this.stage) return;
    this.stageSaid.hidden = isReady;
    setText(this.stageSaid, isReady ? '' : NOT_SHOWN);
    this.node.dataset.ready = isReady ? 'yes' : '';
    stage.draw();
    this.mark();
  }

  // The draft

  setDraft(box) {
    this.draft = box;
    this.stage?.setDraft(box);
    this.card.tell('');
    if (box && !this.isSending) this.card.say('');
    this.update();
  }

  placeAt(place) {
    const { slide, card } = this;
    if (!slide.mpp) return;
    const box = squareOn(place, card.mm2, slide);
    if (box) this.setDraft(box);
    else card.tell(`The slide is smaller than a square of ${card.mm2} mm². Drag a field with Shift.`);
  }

  /** The keyboard's way. Without a pixel size there is no square: half of what is seen, then. */
  placeInMiddle() {
    const seen = this.stage?.seen();
    if (!seen) return;
    const { slide } = this, [left, top, right, bottom] = rectangleOn(...seen, slide), part = (share) => ({ x: left + share * (right - left), y: top + share * (bottom - top) });
    const box = rectangleOn(part(0.25), part(0.75), slide);
    if (slide.mpp) this.placeAt(part(0.5));
    else if (box[2] > box[0] && box[3] > box[1]) this.setDraft(box);
    if (this.isReady) this.card.score.focus({ preventScroll: true }); // the next press scores it
  }

  /** The brownest place is looked at, and Enter scores it. */
  goToSpot(box) {
    this.stage?.fit(box);
    this.setDraft(box);
    this.stage?.node.focus({ preventScroll: true });
  }

  async score() {
    if (!this.isReady) return;
    const { slide, draft, card } = this;
    let wrong = '';
    this.isSending = true;
    card.tell('');
    card.say('Cutting the field out of the slide…');
    this.update();
    try {
      const { image } = await ask(`${this.base}nucleus/api/slides/${slide.id}/fields`, { method: 'POST', body: { box: draft }, timeout: CUT_MS });
      this.onCut(slide.id, image, draft);
    } catch (error) {
      wrong = error.status ? error.message : UNSURE;
    }
    this.isSending = false;
    if (slide.id === this.id) {
      if (wrong) card.say('');
      card.tell(wrong);
      this.update();
      if (this.isOpen && [document.body, this.node, card.score].includes(document.activeElement)) this.stage?.node.focus({ preventScroll: true });
    }
    this.handlers.poll();
    this.handlers.onChanged();
  }

  /** A field became an image. The list will say so too, but not at once. */
  onCut(id, image, box) {
    const { slide } = this;
    if (slide?.id !== id) return; // fields of another slide are chosen by now
    if (!slide.fields.some((field) => field.image === image)) slide.fields.push({ image, label: '', box });
    if (this.draft === box) this.setDraft(null);
    this.brown.again();
    this.card.say(`Field ${slide.fields.findIndex((field) => field.image === image) + 1} is ${slide.mpp ? 'being scored.' : 'cut. Open it and give its pixel size, then it is scored.'}`);
  }

  /** Returns what went wrong, or ''. */
  async remove() {
    const { id } = this;
    try {
      await ask(`${this.base}nucleus/api/slides/${id}/remove`, { method: 'POST', body: {} });
    } catch (error) {
      this.handlers.poll();
      return error.status ? error.message : UNSURE;
    }
    if (id === this.id) {
      this.close();
      this.reset(null);
    }
    this.handlers.poll();
    this.handlers.onChanged();
    return '';
  }

  /** Escape takes back, in turn: a gesture, the question, the draft. Returns whether there was one. */
  drop() {
    if (this.stage?.drop() || this.away.drop()) return true;
    if (!this.draft || this.isSending) return false;
    this.setDraft(null);
    return true;
  }

  // Showing

  showBrown(map) {
    this.stage?.setBrown(map);
    this.mark();
  }

  update() {
    const { slide, draft, stage, images } = this;
    if (!slide) return;
    setText(this.label, slide.label);
    this.label.title = slide.label;
    setText(this.facts, `${number(slide.width_px)} × ${number(slide.height_px)} px${slide.mpp ? ` at ${slide.mpp.toPrecision(3)} µm/px (${slide.mpp_source})` : ', pixel size unknown'}`);
    this.isReady = this.card.show(draft, slide, this.most, this.isSending);
    this.brown.mark(draft);
    this.fields.show(slide, images);
    this.away.show(slide);
    stage?.setFields(slide.fields);
    this.mark();
  }

  /** For whoever asks the page from outside. */
  mark() {
    const { slide, draft, stage } = this;
    Object.assign(this.node.dataset, { slide: this.isOpen && this.id ? this.id : '', draft: draft ?? '', fields: slide?.fields.length ?? 0, brown: stage?.heat.heat && stage.view ? 'yes' : '' });
  }

  onKey(event) {
    event.stopPropagation(); // the viewer's keys are not meant here
    const { key, target } = event;
    if (key === 'Escape' && this.drop()) event.preventDefault(); // else it closes
    if (event.ctrlKey || event.metaKey || event.altKey || !this.stage) return;
    if (key === 'Enter' && !event.repeat && !target.closest(PRESSED)) this.score();
    else if (!(key.startsWith('Arrow') && target.matches('input')) && this.stage.onKey(key)) event.preventDefault();
  }
}
