// The case of the open image: keeps its store, shows its parts, and does what they ask for. The viewer tells it what is open.

import { CaseList, nameImage } from './caselist.js';
import { CaseStore, UNSAVED } from './casestore.js';
import { el } from './element.js';
import { FieldCard } from './fieldcard.js';
import { FieldTable } from './fieldtable.js';
import { HotSpots } from './hotspots.js';
import { ProtocolForm } from './protocolform.js';
import { isSame } from './changes.js';
import { Learning } from './learning.js';
import { number } from './numbers.js';
import { show as showKey } from './keys.js';
import { HPF_MM2, isUsed, nameOf, nucleiAsked, planField, putField, roleForNew } from './sheet.js';
import { SignOff } from './signoff.js';
import { SpecimenForm } from './specimen.js';
import { Slides } from './slides.js';
import { squareAt, squareHolding } from './squares.js';
import { QuPathImport } from './qupath.js';
import { Removal } from './removal.js';
import { WorkList } from './worklist.js';

const LOCKED = 'This case is signed off. Reopen it to change it.';
const READING_MS = 10_000;
const LOADING = 'The image is still loading, so nothing was done. Try again in a moment.';
const REMOVED = 'removed'; // the notice that can bring a field back
const USUAL_MPP = 0.5; // of an image that the list no longer holds

export class CaseDesk {
  /** viewer: what is open and what draws; layers: { fields, heat }. */
  constructor(viewer, base, layers) {
    Object.assign(this, { viewer, base, layers, store: null, leaving: new Set(), images: [], briefs: [], target: null });
    const edit = (change, delay) => this.store?.edit(change, delay);
    const onNotice = (kind, text) => this.notice(kind, text);
    this.protocol = new ProtocolForm(edit);
    this.specimen = new SpecimenForm(edit);
    this.table = new FieldTable({
      edit, onRemove: (id, at, name) => this.remove(id, at, name), onGo: (field) => this.go(field), nameImage: (id) => this.nameImage(id),
      onPoint: (field) => { layers.fields.pointed = field?.id ?? null; viewer.draw(); },
    });
    this.hotSpots = new HotSpots(base, {
      image: () => viewer.shownImage,
      onHeat: (heat) => { layers.heat.set(heat); viewer.draw(); },
      onPoint: (box) => { layers.fields.spot = box; viewer.draw(); },
      onChoose: (spot, image) => this.add(spot.box, 'hot spot', image),
      isField: (spot, image) => Boolean(this.store?.sheet?.fields.some((field) => field.image === image && isSame(field.box, spot.box))),
    });
    this.fields = new FieldCard({
      onWhole: () => this.add(null), onDrag: () => this.drag(), onSquare: () => this.addSquare(), onHolding: () => this.addHolding(), onFind: () => this.hotSpots.open(),
    }, this.table.node, this.hotSpots.node);
    this.sign = new SignOff(base, {
      onReader: (name) => viewer.setReader(name), onSign: () => this.store.act('sign', { digest: this.store.state.digest }), onReopen: (reason) => this.reopen(reason),
    }, viewer.reader());
    this.removal = new Removal(base, this);
    this.list = new CaseList(base, { onOpen: (id) => viewer.choose(id), onMove: (brief) => this.move(brief), onSplit: () => this.split() }, this.removal);
    this.worklist = new WorkList(base, { onOpen: (id) => viewer.choose(id), openId: () => viewer.openId });
    this.learning = new Learning(viewer.root, base, {
      reader: () => viewer.reader(), onReader: (name) => { viewer.setReader(name); this.sign.rename(name); }, palette: () => viewer.panel.palette,
      onService: (service) => { viewer.panel.service = service; viewer.showNumbers(); }, onPlace: (image, x, y, reachUm, words) => this.goNear(image, x, y, reachUm, words),
    });
    this.slides = new Slides(viewer.root, base, { onImage: (id) => viewer.choose(id), onChanged: () => viewer.refresh() });
    this.qupath = new QuPathImport(viewer.root, base, { image: () => this.imageToFill(), reader: () => viewer.reader(), onNotice, onDone: () => viewer.refresh() });
    this.importButton = el('button', { type: 'button', onclick: () => this.qupath.open() }, 'Import from QuPath…');
    this.more = el('section', { class: 'nv-more', 'aria-label': 'Specimen and import' }, this.specimen.node, el('p', { class: 'nv-row nv-import' }, this.importButton));
    window.addEventListener('beforeunload', (event) => { if (this.isUnsaved) event.preventDefault(); });
  }

  get isUnsaved() {
    return Boolean(this.store?.isDirty) || [...this.leaving].some((store) => store.isDirty);
  }

  /** Whether the score on the page is not that of all that she did yet. */
  get isWaiting() {
    return !this.store?.state || this.store.isWaiting || Boolean(this.viewer.session?.outbox.pending) || this.isSending;
  }

  /** Whether corrections of an image of the case that was left are on their way. */
  get isSending() {
    const { images } = this.store?.state ?? {};
    return Boolean(images) && this.viewer.leaving.has(images.map(({ blob }) => blob));
  }

  get isSigned() {
    return Boolean(this.store?.isSigned);
  }

  /** One image, counted whole, without a class: its number is the case's, and is shown once. */
  get isSimple() {
    const { state, sheet } = this.store ?? {};
    if (!state) return true;
    return sheet.protocol === 'index only' && state.images.length === 1 && sheet.fields.length === 1 && !sheet.fields[0].box && sheet.fields[0].image === this.viewer.openId;
  }

  notice(kind, text, options) {
    this.viewer.panel.addNotice(kind, text, options);
  }

  /** Whether a change is refused, which is then said. */
  refuses() {
    if (!this.isSigned) return false;
    this.explain(LOCKED);
    return true;
  }

  /** The same where the image that is open is not on the screen: a place there is none of it. */
  refusesPlaces(isQuiet = false) {
    if (this.viewer.shownImage !== null) return false;
    if (!isQuiet && this.viewer.openId !== null) this.explain(LOADING);
    return true;
  }

  /** Why nothing was done, for as long as it takes to read. */
  explain(text) {
    this.notice('info', text, { once: true, forMs: READING_MS });
    this.viewer.say(text);
  }

  /** The image that something is to be added to; null, and why, where none can be: another one may be on its way. */
  imageToChange(wanted = this.viewer.shownImage) {
    if (this.refuses()) return null;
    const { viewer, store } = this, isThere = wanted !== null && wanted === viewer.shownImage && store?.state?.images.some(({ id }) => id === wanted);
    if (isThere) return wanted;
    this.explain(LOADING);
    return null;
  }

  imageToFill() {
    const image = this.imageToChange();
    return image === null ? null : this.viewer.data;
  }

  /** An image as the case's warnings number it, with its label. */
  nameImage(id) {
    const { images } = this.store.state, i = images.findIndex((image) => image.id === id);
    return i < 0 ? 'an image' : nameImage(images[i].label, images.length > 1 ? i + 1 : 0);
  }

  // What the viewer tells

  /** The case of the image that is open now; null where there is none. */
  open(id) {
    if (this.store?.id === id) return;
    this.leave();
    if (!id) return this.show();
    const waiting = [...this.leaving].find((store) => store.id === id), store = (this.store = waiting ?? this.createStore(id));
    this.leaving.delete(store);
    store.reopen();
    this.show();
  }

  createStore(id) {
    const store = new CaseStore(this.base, id, {
      onChange: () => (this.store === store ? this.show() : this.leaving.delete(store.isDirty ? null : store)),
      onNotice: (kind, text) => this.notice(kind, text), reader: () => this.viewer.reader(),
    });
    return store;
  }

  leave() {
    if (!this.store) return;
    const { store } = this;
    this.store = this.went = null;
    this.viewer.panel.dropNotice(REMOVED);
    store.close();
    if (store.isDirty) this.leaving.add(store);
  }

  /** Another image is shown: what lay over the last one goes. */
  onImage() {
    if (this.hotSpots.isOpen) this.hotSpots.close();
    Object.assign(this.layers.fields, { pointed: null, spot: null });
  }

  /** The server's lists, every few seconds: another window may have changed the case. */
  onLists(images, briefs, removed) {
    Object.assign(this, { images, briefs });
    const { state } = this.store ?? {}, own = state ? { id: state.id, images: state.images.map(({ id }) => id) } : null;
    this.list.show(images, briefs, this.viewer.openId, own);
    this.removal.show(removed);
    this.slides.showImages(images);
    this.worklist.show();
    this.worklist.poke(JSON.stringify([briefs.map(({ id, rev, state: of, shown }) => [id, rev, of, shown]), images.map((image) => [image.id, image.scoring, image.rev, image.state])]));
    const brief = briefs.find(({ id }) => id === this.store?.id);
    if (!state || !brief) return this.store && !state ? this.store.refresh(0) : undefined;
    const isStale = brief.rev !== state.rev || (brief.state === 'signed') !== Boolean(state.signature) || brief.shown !== (state.score.primary?.shown ?? null);
    if (isStale || state.busy) this.store.refresh(0);
  }

  /** Corrections are on their way, or were saved, here or elsewhere. */
  onOutbox({ scoring, outbox }) {
    const rev = `${scoring}:${outbox.rev}`;
    if (outbox.pending) this.hotSpots.onChanged(false);
    if (outbox.pending || rev === this.seen) return this.showSign();
    this.seen = rev;
    this.hotSpots.onChanged(true);
    this.store?.refresh();
  }

  /** Corrections of an image that was left are saved, or lost. */
  onLeft() {
    this.store?.refresh();
    this.showSign();
  }

  // What the parts ask for

  /** Add a field of the open image; box null: all of it. wanted: the image that the box was found in. */
  add(box, role, wanted) {
    const { store, viewer } = this, image = this.imageToChange(wanted);
    if (image === null) return;
    const field = planField(store.sheet, { image, box, role: this.roleFor(store.sheet, role) }), { gone } = putField(store.sheet, field);
    store.edit({ op: 'add', field });
    viewer.say(`Added: ${box ? field.name : 'the whole image'}.${gone ? ' The whole image gave way: its nuclei would count twice.' : ''}`);
    if (gone) this.notice('info', `${field.name} takes the place of the whole image, whose nuclei would count twice. “Whole image” brings it back.`);
  }

  /** Take a field off the sheet; the notice brings the same one back. */
  remove(id, at, name) {
    const { store, viewer } = this, field = store.sheet.fields.find((other) => other.id === id);
    if (!field || this.refuses()) return;
    store.edit({ op: 'remove', id, name });
    const undo = () => {
      if (this.store === store && !this.refuses()) store.edit({ op: 'restore', field, at });
      viewer.say(`${name} is back.`);
    };
    this.notice('info', `Removed ${name}.`, { key: REMOVED, action: ['Undo', undo] });
    viewer.say(`Removed ${name}.`);
  }

  roleFor(sheet, wanted) {
    const role = roleForNew(sheet, this.store.state.score.allotted);
    return wanted && sheet.protocol !== 'index only' ? wanted : role;
  }

  drag() {
    const { tools } = this.viewer;
    if (tools.tool !== 'field' && this.imageToChange() === null) return;
    tools.choose(tools.tool === 'field' ? 'pan' : 'field');
    this.viewer.focus();
  }

  /** The keyboard's way to a field: a high-power field in the middle of what is seen. */
  addSquare() {
    const { viewer } = this;
    if (this.imageToChange() === null) return;
    const box = squareAt(viewer.tools.middle(), HPF_MM2, viewer);
    if (box) this.add(box);
    else this.notice('info', `The image is smaller than a square of ${HPF_MM2} mm²: count all of it.`);
  }

  /** A square in the middle of what is seen that holds as many tumour nuclei as the protocol asks of a field. */
  addHolding() {
    const { viewer, store } = this;
    if (this.imageToChange() === null) return;
    if (!viewer.session) return this.explain(LOADING); // its nuclei are on their way
    const n = nucleiAsked(store.sheet), box = squareHolding(viewer.tools.middle(), n, viewer.points, viewer);
    if (box) this.add(box);
    else this.notice('info', `The image holds fewer than ${number(n)} tumour nuclei: count all of it.`);
  }

  /** The field after or before the one that was gone to last, around the end. */
  goNext(step) {
    const { fields = [] } = this.store?.sheet ?? {}, at = fields.findIndex(({ id }) => id === this.went);
    if (!fields.length) return;
    const field = fields[at < 0 ? (step > 0 ? 0 : fields.length - 1) : (at + step + fields.length) % fields.length];
    this.go(field);
    this.viewer.say(nameOf(field, fields.indexOf(field)));
  }

  /** Open a field's image and bring its box into view. id: of a field; other places have none. */
  go({ id, image, box }) {
    this.went = id;
    if (image === this.viewer.shownImage) return this.viewer.fit(box);
    this.target = { image, box };
    if (image !== this.viewer.openId) this.viewer.choose(image);
  }

  /** Open an image with a place in the middle, and say what lies there. */
  goNear(image, x, y, reachUm, words) {
    const reach = reachUm / (this.images.find(({ id }) => id === image)?.mpp ?? USUAL_MPP);
    this.go({ image, box: [x - reach, y - reach, x + reach, y + reach] });
    this.viewer.focus();
    this.viewer.say(words);
  }

  /** The image that go() opened is there. */
  arrive() {
    const { target } = this;
    this.target = null;
    if (target?.image !== this.viewer.openId) return false;
    this.viewer.fit(target.box);
    return true;
  }

  async reopen(reason) {
    const wrong = await this.store.act('reopen', { reason });
    this.viewer.refresh();
    return wrong;
  }

  async split() {
    const { store, viewer } = this, image = this.imageToChange();
    if (image === null) return;
    this.tell(await store.act('split', ({ rev }) => ({ rev, image })));
    viewer.refresh();
  }

  /** Into another case: that one's revision is asked for, its list may be seconds old. */
  async move(brief) {
    const { store, viewer } = this, image = this.imageToChange();
    if (image === null) return;
    await store.save();
    if (store.isDirty) return this.tell(UNSAVED);
    const target = this.createStore(brief.id);
    try {
      await target.load();
    } catch {
      return this.tell('The server does not answer. Nothing was changed; try again.');
    }
    this.tell(await target.act('images', ({ rev }) => ({ rev, images: [image] })));
    viewer.refresh();
  }

  tell(wrong) {
    if (wrong) this.notice('error', wrong);
  }

  // Showing

  show() {
    const { viewer, store } = this, { state, sheet } = store ?? {};
    const { dataset } = viewer.root;
    Object.assign(dataset, { case: state ? store.id : '', signed: this.isSigned ? 'yes' : 'no', caseRev: state?.rev ?? '' });
    for (const node of [this.fields.node, this.more, this.protocol.node]) node.hidden = !state;
    this.protocol.inputs.hidden = true;
    if (state) {
      this.protocol.show(sheet, state);
      this.specimen.show(sheet, this.isSigned);
      this.table.show(sheet, state);
      this.hotSpots.show(sheet, state.rule, this.isSigned);
      this.importButton.disabled = this.isSigned;
    }
    const listed = state ? `${state.id}:${state.digest}:${Boolean(state.signature)}` : this.listed;
    if (listed !== this.listed && this.listed?.startsWith(`${state.id}:`)) viewer.refresh(); // its line in the list is old
    this.listed = listed;
    this.showFields();
    this.showSign();
    viewer.showNumbers();
    viewer.draw();
  }

  showSign() {
    const { viewer, isWaiting, isSending } = this, { dataset } = viewer.root;
    dataset.caseWaiting = isWaiting ? 'yes' : 'no';
    this.sign.show(this.store?.state ?? null, { isWaiting, isSending, image: viewer.openId, palette: dataset.palette });
  }

  /** The card and the boxes; also when only the tool or the image changes. */
  showFields() {
    const { viewer, store } = this, { state, sheet } = store ?? {};
    const open = viewer.openId;
    this.layers.fields.fields = sheet ? sheet.fields.map((field, i) => ({ ...field, n: i + 1, name: nameOf(field, i), isUsed: isUsed(sheet, field) })).filter(({ image, box }) => box && image === open) : [];
    if (!state) return;
    this.fields.show(sheet, {
      isSimple: this.isSimple, isSigned: this.isSigned, hasWhole: sheet.fields.some(({ image, box }) => image === open && !box), isScored: viewer.data?.state === 'done' && !viewer.data.refused,
      hasScale: Boolean(viewer.data?.mpp), tool: viewer.tools.tool, key: showKey(viewer.keys.of('field')[0] ?? ''), saved: store,
    });
  }

  /** For the card of the score: null where the image's own number says it all. */
  get shown() {
    const { state } = this.store ?? {};
    if (!state) return null;
    const { fields } = this.store.sheet, isOfImage = fields.length === 1 && !fields[0].box && fields[0].image === this.viewer.openId;
    return { state, isSimple: this.isSimple, isOfImage, isWaiting: this.isWaiting };
  }
}
