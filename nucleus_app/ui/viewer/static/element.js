/** A DOM element: attributes, listeners (on…), children. Texts become text, never markup. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** New children for a node in which someone may be typing: what has the focus (by its data-key) keeps it, with its text and cursor. */
export function refill(host, ...children) {
  const before = host.contains(document.activeElement) ? document.activeElement : null;
  host.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
  const after = before?.dataset.key && host.querySelector(`[data-key="${CSS.escape(before.dataset.key)}"]`);
  if (!after) return;
  after.focus({ preventScroll: true });
  if (!before.matches('input[type=text]')) return;
  after.value = before.value;
  after.setSelectionRange(before.selectionStart, before.selectionEnd);
}

/** A text that a screen reader says anew with every writing: written only where it differs. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function button(text, act, attributes = {}) {
  return el('button', { type: 'button', onclick: act, ...attributes }, text);
}

/** An SVG element, likewise. */
export function shape(tag, attributes = {}, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined && value !== null) node.setAttribute(name, value);
  node.append(...children);
  return node;
}
