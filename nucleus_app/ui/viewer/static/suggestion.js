// The network's own map of tumour, laid over the image until the reader accepts or dismisses it.

export class Suggestion {
  /** viewer: session, panel, commit(op), draw(). */
  constructor(viewer) {
    Object.assign(this, { viewer, op: null });
  }

  reset() {
    this.op = null;
  }

  async look() {
    const { viewer } = this, { session, panel } = viewer;
    panel.review.showSuggestion('running', false);
    try {
      const cells = await session.findRoi(() => viewer.session === session);
      if (viewer.session !== session) return;
      this.op = { op: 'region', ...cells };
    } catch (error) {
      panel.addNotice('error', `The network's map did not come: ${error.message}`);
    }
    panel.review.showSuggestion('done', this.op !== null);
    viewer.draw();
  }

  accept() {
    const { op } = this;
    this.op = null;
    this.viewer.commit(op);
    this.viewer.panel.review.showSuggestion('done', false);
  }

  dismiss() {
    this.op = null;
    this.viewer.draw();
    this.viewer.panel.review.showSuggestion('done', false);
  }
}
