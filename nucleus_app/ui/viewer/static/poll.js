// Asking the server again and again, while someone can see the answer.

export class Poll {
  /** act(isCurrent): asks and shows; isCurrent() is false once a later question was begun. pause(): milliseconds until the next. */
  constructor(act, pause) {
    Object.assign(this, { act, pause, turn: 0, isOn: false });
    document.addEventListener('visibilitychange', () => { if (this.isOn && !document.hidden) this.now(); });
  }

  start() {
    this.isOn = true;
    return this.now();
  }

  /** At once, and then again at the usual pace. */
  async now() {
    clearTimeout(this.timer);
    const turn = ++this.turn;
    await this.act(() => turn === this.turn);
    if (turn === this.turn && this.isOn && !document.hidden) this.timer = setTimeout(() => this.now(), this.pause());
  }
}
