// How strongly a slide is magnified, as on a microscope's nosepiece, and steps to press: at 40× a pixel of the screen shows 0.25 µm.

import { button, el, setText } from './element.js';

const STEPS = [1.25, 2.5, 5, 10, 20, 40], UM_PX = 10;

export class Magnification {
  /** mpp: µm of a pixel of the slide; onStep(pixels of the screen for one of the slide, whether the pointer pressed). */
  constructor(mpp, onStep) {
    this.mpp = mpp;
    this.seen = el('output', { 'aria-live': 'off', 'aria-label': 'Magnification' });
    this.steps = STEPS.filter((step) => step <= this.of(1) * 1.1).map((step) => ({ step, node: button(`${step}×`, (event) => onStep(step / this.of(1), event.detail > 0), { title: `Look at ${step}×` }) }));
    this.node = el('div', { class: 'nv-magnification', role: 'group', 'aria-label': 'Magnification' }, this.seen, ...this.steps.map(({ node }) => node));
  }

  of(scale) {
    return (UM_PX / this.mpp) * scale;
  }

  /** scale: as it is; least: where all of the slide is seen, so that a step further out would do nothing. */
  show(scale, least) {
    const now = this.of(scale);
    for (const { step, node } of this.steps) {
      node.setAttribute('aria-pressed', Math.abs(now / step - 1) < 0.01);
      node.hidden = step < this.of(least);
    }
    setText(this.seen, `${Number(now.toPrecision(3))}×`);
  }
}
