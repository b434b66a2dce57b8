// Bringing annotations of QuPath in: which of its classes is what here, then the import, which is a scoring like any other.

import { button, el } from './element.js';
import { ask } from './http.js';
import { number } from './numbers.js';

const POINT_TARGETS = { positive: 'Immunopositive tumour', negative: 'Immunonegative tumour', other: 'Non-tumour' };
const AREA_TARGETS = { tumour: 'Tumour region', 'non-tumour': 'Non-tumour region', exclude: 'Excluded region', reviewed: 'Reviewed area' };
const HINT = 'In QuPath: File, Export objects as GeoJSON. The import takes the place of the network’s nuclei; “Score” on the left brings those back.';

export class QuPathImport {
  /** handlers: image() → { id, label } or null, reader(), onDone(), onNotice(kind, text). */
  constructor(host, base, handlers) {
    Object.assign(this, { base, handlers, file: null });
    this.input = el('input', { type: 'file', accept: '.geojson,.json', 'aria-label': 'GeoJSON file of QuPath', onchange: () => this.read() });
    this.said = el('p', { class: 'nv-dialog-said', role: 'alert' });
    this.table = el('tbody', {});
    this.head = el('table', { hidden: true }, el('thead', {}, el('tr', {}, ...['Class in QuPath', 'Points', 'Areas', 'Becomes'].map((text) => el('th', { scope: 'col' }, text)))), this.table);
    this.title = el('h2', {});
    this.go = button('Import', () => this.send(), { class: 'nv-main', disabled: true });
    this.node = el('dialog', { class: 'nv-sheet nv-qupath', 'aria-label': 'Import from QuPath' }, this.title, el('p', { class: 'nv-hint' }, HINT), this.input, this.said,
      el('div', { class: 'nv-sheet-rows' }, this.head), el('p', { class: 'nv-sheet-buttons' }, this.go, button('Cancel', () => this.node.close())));
    this.node.addEventListener('keydown', (event) => event.stopPropagation()); // the viewer's keys are not meant here
    host.append(this.node);
  }

  open() {
    this.image = this.handlers.image();
    if (!this.image) return;
    this.title.textContent = `Import from QuPath into ${this.image.label}`;
    this.input.value = '';
    this.reset('');
    this.node.showModal();
  }

  reset(said) {
    this.said.textContent = said;
    this.head.hidden = this.go.disabled = true;
    this.table.replaceChildren();
  }

  async read() {
    const [file] = this.input.files;
    if (!file) return;
    this.reset('');
    try {
      this.text = await file.text();
      JSON.parse(this.text); // told here, plainly, before it travels
    } catch {
      return this.reset(`${file.name} is no GeoJSON. ${HINT}`);
    }
    try {
      const { classes } = await ask(`${this.base}nucleus/api/images/${this.image.id}/qupath/classes`, { method: 'POST', text: this.text });
      this.show(classes);
    } catch (error) {
      this.reset(error.status ? error.message : 'The server does not answer. Try again.');
    }
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
    this.go.disabled = true;
    this.said.textContent = 'Importing…';
    try {
      // The file goes in as it is: written anew, its numbers could change.
      const text = `{"reader": ${JSON.stringify(this.handlers.reader())}, "mapping": ${JSON.stringify(mapping)}, "geojson": ${this.text}}`;
      await ask(`${this.base}nucleus/api/images/${this.image.id}/qupath`, { method: 'POST', text });
      this.node.close();
      this.handlers.onNotice('info', `Imported from QuPath into ${this.image.label}.`);
      this.handlers.onDone();
    } catch (error) {
      this.said.textContent = error.status ? error.message : 'The server does not answer. Try again.';
      this.go.disabled = false;
    }
  }
}
