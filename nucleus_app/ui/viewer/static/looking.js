// Bringing places into view: a nucleus, a field, the next doubtful one.

import { NOUNS } from './palettes.js';
import { ABSENT } from './points.js';

const CLOSE_PX_PER_UM = 5, ROOM = 1.25, MARK_UM = 2.6;

/** Show the next or previous doubtful nucleus, and say what it is. */
export function walk(viewer, step) {
  const { session, points, tools } = viewer;
  const i = session ? session.walk(step) : -1;
  Object.assign(tools, { focus: i, follows: 'focus' });
  if (i < 0) {
    viewer.say('No doubtful nucleus is left open.');
    viewer.draw();
    return viewer.showNumbers();
  }
  viewer.lookAt(points.xy[2 * i], points.xy[2 * i + 1]);
  const noun = NOUNS[points.classes[i]];
  viewer.say(`Doubtful nucleus ${session.at + 1} of ${session.doubtful.length}: ${points.standings[i] === ABSENT ? `not counted, perhaps ${noun}` : noun}`);
  viewer.showNumbers();
}

/** Bring a place to the middle, close enough to judge a nucleus. */
export function lookAt({ osd, view, mpp }, x, y) {
  const { viewport, world } = osd, item = world.getItemAt(0), perUm = view.scale / mpp;
  if (!item) return; // its pixels are on their way
  if (perUm < CLOSE_PX_PER_UM) viewport.zoomBy(CLOSE_PX_PER_UM / perUm, null, true);
  viewport.panTo(item.imageToViewportCoordinates(x + 0.5, y + 0.5), true);
  viewport.applyConstraints(true);
}

/** Bring a box of the image into view with some room around it; null: the whole image. */
export function fit({ osd: { viewport, world } }, box) {
  const item = world.getItemAt(0);
  if (!box || !item) return viewport.goHome(true);
  const [left, top, right, bottom] = box, width = right - left, height = bottom - top, spare = (ROOM - 1) / 2;
  viewport.fitBounds(item.imageToViewportRectangle(left + 0.5 - width * spare, top + 0.5 - height * spare, width * ROOM, height * ROOM), true);
}

/** Where the image lies on the screen: what every layer draws by. item: OpenSeadragon's. */
export function viewOf({ osd: { viewport }, mpp, width, height }, item) {
  const size = viewport.getContainerSize();
  const origin = viewport.pixelFromPoint(item.imageToViewportCoordinates(0, 0), true);
  const far = viewport.pixelFromPoint(item.imageToViewportCoordinates(1000, 0), true);
  const scale = (far.x - origin.x) / 1000, radius = Math.max(1.2, Math.min(9, (MARK_UM / mpp) * scale));
  return { width: size.x, height: size.y, ratio: window.devicePixelRatio || 1, scale, x: origin.x, y: origin.y, radius, imageWidth: width, imageHeight: height };
}
