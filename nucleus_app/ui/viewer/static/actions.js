// What every key and every button of the toolbar does.

const TOOLS = ['pan', 'point', 'rectangle', 'lasso', 'brush', 'polygon', 'eraser'];
const CLASSES = ['positive', 'negative', 'other'];
const HELD = ['hide', 'drag'];
const PAN = { left: [-0.1, 0], right: [0.1, 0], up: [0, -0.1], down: [0, 0.1] };
const TYPED_IN = 'input:not([type=checkbox]):not([type=range]), textarea, select, [contenteditable]';

export class Actions {
  constructor(viewer, keys) {
    Object.assign(this, { viewer, keys });
    const { tools, overlay, regions, osd } = viewer;
    this.others = {
      remove: () => tools.remove(),
      next: () => viewer.walk(1),
      previous: () => viewer.walk(-1),
      agree: () => tools.agree(),
      undo: () => viewer.step('undo'),
      redo: () => viewer.step('redo'),
      save: () => viewer.session?.outbox.poke(),
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
    root.addEventListener('keyup', (event) => this.release(this.keys.actionOf(event)));
    root.addEventListener('focusout', (event) => { if (!root.contains(event.relatedTarget)) HELD.forEach((action) => this.release(action)); });
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
    if (!event.repeat || !HELD.includes(action)) this.act(action);
  }

  release(action) {
    if (action === 'hide') this.viewer.hide(false);
    if (action === 'drag') this.viewer.pan(false);
  }

  act(action) {
    const { tools, osd: { viewport } } = this.viewer;
    if (TOOLS.includes(action)) tools.choose(action);
    else if (CLASSES.includes(action)) tools.setClass(CLASSES.indexOf(action));
    else if (PAN[action]) viewport.panBy(new window.OpenSeadragon.Point(...PAN[action]).divide(viewport.getZoom(true)));
    else this.others[action]();
    viewport.applyConstraints();
  }
}
