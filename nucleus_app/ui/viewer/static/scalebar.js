// A scale bar in µm of a round length.

const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];
const TARGET_PX = 120;

/** Length in µm and in CSS pixels for a view where one µm takes pxPerUm pixels. */
function chooseBar(pxPerUm) {
  const um = STEPS.findLast((step) => step * pxPerUm <= TARGET_PX) ?? STEPS[0];
  return { um, px: um * pxPerUm };
}

export function drawBar(node, pxPerUm) {
  node.hidden = !pxPerUm;
  if (!pxPerUm) return;
  const { um, px } = chooseBar(pxPerUm);
  node.style.width = `${px}px`;
  node.textContent = um >= 1000 ? `${um / 1000} mm` : `${um} µm`;
}
