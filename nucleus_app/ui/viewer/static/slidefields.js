// The fields that were cut of a slide: a line each, with what became of it.

import { short } from './caselist.js';
import { el } from './element.js';
import { describeArea } from './slidebox.js';

export class SlideFields {
  /** handlers: onOpen(image), onPoint(image or null). */
  constructor(base, handlers) {
    Object.assign(this, { base, handlers, known: '' });
    this.none = el('p', { class: 'nv-hint' }, 'None yet.');
    this.forQuPath = el('a', { class: 'nv-link', download: true, title: 'What was counted in all fields of this slide, at its places on it: drag the file onto the slide in QuPath' }, 'GeoJSON for QuPath');
    this.list = el('ol', { class: 'nv-picks', 'aria-label': 'Fields of this slide' });
    this.node = el('section', { class: 'nv-card', 'aria-label': 'Fields of this slide' }, el('h3', {}, 'Fields of this slide'), this.none, this.list, this.forQuPath);
  }

  /** images: the server's list, which knows how far each field is. */
  show(slide, images) {
    const ids = new Set(slide.fields.map(({ image }) => image)), states = new Map(images.filter(({ id }) => ids.has(id)).map((image) => [image.id, short(image)]));
    const known = JSON.stringify([slide.id, slide.mpp, slide.fields, [...states]]);
    if (known === this.known) return;
    this.known = known;
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.image : null;
    this.forQuPath.href = `${this.base}nucleus/api/slides/${slide.id}/qupath.geojson`;
    this.forQuPath.hidden = !slide.fields.length;
    this.none.hidden = slide.fields.length > 0;
    this.list.replaceChildren(...slide.fields.map((field, i) => this.line(field, i, slide, states.get(field.image) ?? '')));
    if (focused) this.list.querySelector(`[data-image="${CSS.escape(focused)}"]`)?.focus();
  }

  line({ image, label, box }, i, slide, state) {
    const node = el('button', { type: 'button', 'data-image': image, title: `Open ${label || `field ${i + 1}`}`, onclick: () => this.handlers.onOpen(image) },
      el('span', { class: 'nv-pick-n' }, `${i + 1}`), el('span', { class: 'nv-label' }, describeArea(box, slide)), el('span', { class: 'nv-short' }, state));
    for (const on of ['pointerenter', 'focus']) node.addEventListener(on, () => this.handlers.onPoint(image));
    for (const off of ['pointerleave', 'blur']) node.addEventListener(off, () => this.handlers.onPoint(null));
    return el('li', {}, node);
  }
}
