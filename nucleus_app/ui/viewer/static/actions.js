// What every key and every button of the toolbar does.

import { CLASSES } from './points.js';
import { TOOLS } from './tools.js';

const HELD = ['hide', 'drag'];
/** What goes on while a key is held down; of the others once is once. */
const REPEATED = ['left', 'right', 'up', 'down', 'closer', 'farther', 'smaller', 'larger', 'next', 'previous', 'undo', 'redo'];
const PAN = { left: [-0.1, 0], right: [0.1, 0], up: [0, -0.1], down: [0, 0.1] };
const TYPED_IN = 'input:not([type=checkbox]):not([type=range]), textarea, select, [contenteditable]';

export class Actions {
  constructor(viewer, keys) {
    Object.assign(this, { viewer, keys, held: new Map() }); // held: key's place on the keyboard → what it does
    const { tools, overlay, regions, osd } = viewer;
    this.others = {
      remove: () => tools.remove(),
      next: () => viewer.walk(1),
      previous: () => viewer.walk(-1),
      nextField: () => viewer.desk.goNext(1),
      previousField: () => viewer.desk.goNext(-1),
      enter: () => tools.enter(),
      carry: () => tools.carry(),
      undo: () => viewer.step('undo'),
      redo: () => viewer.step('redo'),
      save: () => viewer.session?.outbox.poke(true),
      smaller: () => tools.resizeBrush(1 / 1.3),
      larger: () => tools.resizeBrush(1.3),
      selectView: () => tools.selectView(),
      cancel: () => tools.cancel(),
      hide: () => viewer.hide(true),
      drag: () => viewer.pan(true),
      fine: () => { overlay.fine = !overlay.fine; viewer.draw(); },
      regions: () => { regions.shown = !regions.shown; viewer.draw(); },
      crosshair: () => { tools.crosshair = !tools.crosshair; viewer.repaint(); },
      fit: () => osd.viewport.goHome(),
      closer: () => osd.viewport.zoomBy(1.5),
      farther: () => osd.viewport.zoomBy(1 / 1.5),
      keys: () => viewer.sheet.toggle(),
    };
  }

  listen(root) {
    root.addEventListener('keydown', (event) => this.onKey(event));
    root.addEventListener('keyup', (event) => this.release(event.code));
    root.addEventListener('focusout', (event) => { if (!root.contains(event.relatedTarget)) for (const code of [...this.held.keys()]) this.release(code); });
  }

  onKey(event) {
    const { target } = event;
    if (target.matches(TYPED_IN)) return;
    const action = this.keys.actionOf(event);
    if (!action) return;
    if (target.closest('button, summary, a, input') && ['Enter', ' '].includes(event.key)) return; // they press what has the focus
    if (target.matches('input[type=range]') && event.key.startsWith('Arrow')) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.repeat && !REPEATED.includes(action)) return;
    if (HELD.includes(action)) this.held.set(event.code, action);
    this.act(action);
  }

  /** By its place on the keyboard: with Shift the key has another name by now. */
  release(code) {
    const action = this.held.get(code);
    this.held.delete(code);
    if (action === 'hide') this.viewer.hide(false);
    if (action === 'drag') this.viewer.pan(false);
  }

  act(action) {
    const { tools, osd: { viewport } } = this.viewer;
    if (TOOLS.includes(action)) tools.choose(action);
    else if (CLASSES.includes(action)) tools.setClass(CLASSES.indexOf(action));
    else if (PAN[action]) {
      tools.follows = 'pointer'; // at the crosshair lies something else now
      viewport.panBy(new window.OpenSeadragon.Point(...PAN[action]).divide(viewport.getZoom(true)));
    }
    else this.others[action]();
    viewport.applyConstraints();
  }
}
