// The column on the left belongs to Gradio, which learns only by its answers which image is open. Until an answer filled in the details
// of the open image nobody can type there, for it would be said of the one before; and files go where they were dropped.

export class Details {
  constructor(root) {
    Object.assign(this, { root, column: document.getElementById('details'), filled: '' });
    const note = ({ target }) => { if (target.closest('#upload')) root.dataset.droppedOn = root.dataset.image ?? ''; };
    for (const name of ['drop', 'change']) document.addEventListener(name, note, true);
  }

  /** id: the image whose details Gradio filled in just now. */
  fill(id) {
    this.filled = String(id);
    this.show();
  }

  show() {
    this.column.inert = (this.root.dataset.image ?? '') !== this.filled;
  }
}
