// Bringing annotations of QuPath in: which of its classes is what here, then the import, which is a scoring like any other.

import { authorId } from './box.js';
import { button, el } from './element.js';
import { ask } from './http.js';
import { number } from './numbers.js';

const POINT_TARGETS = { positive: 'Immunopositive tumour', negative: 'Immunonegative tumour', other: 'Non-tumour' };
const AREA_TARGETS = { tumour: 'Tumour region', 'non-tumour': 'Non-tumour region', exclude: 'Excluded region', reviewed: 'Reviewed area' };
const HINT = 'In QuPath: File, Export objects as GeoJSON. The import takes the place of the network’s nuclei; “Score” on the left brings those back.';
const TIMEOUT_MS = 5 * 60_000; // large files take minutes
const NO_ANSWER = 'The answer of the server did not come.';

export class QuPathImport {
  /** handlers: image() → { id, label } or null, reader(), onDone(), onNotice(kind, text). */
  constructor(host, base, handlers) {
    Object.assign(this, { base, handlers, notes: [], turn: 0 });
    this.input = el('input', { type: 'file', accept: '.geojson,.json', 'aria-label': 'GeoJSON file of QuPath', onchange: () => this.read() });
    this.status = el('p', { class: 'nv-dialog-doing', role: 'status' });
    this.said = el('p', { class: 'nv-dialog-said', role: 'alert', hidden: true });
    this.noted = el('ul', { class: 'nv-import-notes', hidden: true });
    this.table = el('tbody', {});
    this.onSlide = el('input', { type: 'checkbox' });
    this.places = el('label', { class: 'nv-check', hidden: true }, this.onSlide, 'Places in the file are those of the whole slide, not of this field');
    this.head = el('table', { hidden: true }, el('thead', {}, el('tr', {}, ...['Class in QuPath', 'Points', 'Areas', 'Becomes'].map((text) => el('th', { scope: 'col' }, text)))), this.table);
    this.title = el('h2', {});
    this.go = button('Import', () => this.send(), { class: 'nv-main', disabled: true });
    this.cancel = button('Cancel', () => this.node.close());
    this.node = el('dialog', { class: 'nv-sheet nv-qupath', 'aria-label': 'Import from QuPath' }, this.title, el('p', { class: 'nv-hint' }, HINT), this.input, this.said,
      el('div', { class: 'nv-sheet-rows' }, this.head), this.places, this.noted, this.status, el('p', { class: 'nv-sheet-buttons' }, this.go, this.cancel));
    this.node.addEventListener('keydown', (event) => event.stopPropagation()); // the viewer's keys are not meant here
    this.node.addEventListener('cancel', (event) => { if (this.cancel.disabled) event.preventDefault(); });
    this.node.addEventListener('close', () => this.turn++);
    host.append(this.node);
  }

  open() {
    this.image = this.handlers.image();
    if (!this.image) return;
    this.title.textContent = `Import from QuPath into ${this.image.label}`;
    this.input.value = '';
    this.reset('');
    this.setBusy('');
    this.node.showModal();
  }

  reset(said) {
    this.say(said);
    this.note([]);
    this.head.hidden = this.places.hidden = this.go.disabled = true;
    this.table.replaceChildren();
  }

  say(text) {
    this.said.textContent = text;
    this.said.hidden = !text;
  }

  note(notes) {
    this.notes = notes;
    this.noted.hidden = !notes.length;
    this.noted.replaceChildren(...notes.map((text) => el('li', {}, text)));
  }

  /** text: what is going on, or '' when nothing is. Once the file travels there is no way back. */
  setBusy(text, isSending = false) {
    this.status.textContent = text;
    this.input.disabled = this.cancel.disabled = isSending;
  }

  async read() {
    const [file] = this.input.files, turn = ++this.turn;
    if (!file) return;
    this.reset('');
    this.setBusy('Reading the file…');
    try {
      const text = await file.text();
      const { classes, notes, on_slide: onSlide } = await ask(`${this.base}nucleus/api/images/${this.image.id}/qupath/classes`, { method: 'POST', text, timeout: TIMEOUT_MS });
      if (turn !== this.turn) return; // another file, or none any more
      this.text = text;
      this.show(classes);
      this.places.hidden = onSlide === null || !classes.length;
      this.onSlide.checked = onSlide === true;
      this.note(notes);
    } catch (error) {
      if (turn !== this.turn) return;
      this.reset(error.status ? `${file.name}: ${error.message}` : error.name === 'NotReadableError' ? `${file.name} cannot be read. Choose it again.` : `${NO_ANSWER} Try again.`);
    }
    this.setBusy('');
  }

  show(classes) {
    if (!classes.length) return this.reset('This file holds no annotation.');
    this.table.replaceChildren(...classes.map(({ name, points, areas, guess }) => {
      const targets = { ...POINT_TARGETS, ...(areas ? AREA_TARGETS : {}), ignore: 'Ignore' };
      return el('tr', {}, el('td', {}, name || el('em', {}, 'no class')), el('td', {}, number(points)), el('td', {}, number(areas)),
        el('td', {}, el('select', { 'data-class': name, 'aria-label': `${name || 'no class'} becomes` }, ...Object.entries(targets).map(([value, text]) => el('option', { value, selected: value === guess }, text)))));
    }));
    this.head.hidden = this.go.disabled = false;
    this.go.focus();
  }

  async send() {
    const mapping = Object.fromEntries([...this.table.querySelectorAll('select')].map((select) => [select.dataset.class, select.value]));
    const { image, handlers } = this;
    this.go.disabled = true;
    this.say('');
    this.setBusy('Importing…', true);
    try {
      const body = { geojson: this.text, mapping, reader: handlers.reader(), author: authorId(), on_slide: this.onSlide.checked };
      const { notes } = await ask(`${this.base}nucleus/api/images/${image.id}/qupath`, { method: 'POST', body, timeout: TIMEOUT_MS });
      this.node.close();
      handlers.onNotice('info', [`Imported from QuPath into ${image.label}.`, ...new Set([...this.notes, ...notes])].join(' '));
      handlers.onDone();
    } catch (error) {
      this.say(error.status ? error.message : `${NO_ANSWER} Look whether the nuclei are there before you import again.`);
      if (!error.status) handlers.onDone();
      this.go.disabled = false;
    }
    this.setBusy('');
  }
}
