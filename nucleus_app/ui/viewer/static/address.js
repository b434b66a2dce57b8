// A dialog with an address of its own, ?name=value: Back leads out of it, and into it again after a look at something else.

export class Address {
  /** host: the viewer's root; name: in the address; pattern: of its values; show(value): show the dialog, also when it is shown already. */
  constructor(host, dialog, name, pattern, show) {
    Object.assign(this, { host, dialog, name, pattern, show });
    dialog.addEventListener('close', () => this.onClosed());
    window.addEventListener('popstate', () => this.onBack());
  }

  /** What the address asks for, or null. */
  get value() {
    const value = new URL(window.location.href).searchParams.get(this.name);
    return value !== null && this.pattern.test(value) ? value : null;
  }

  open(value) {
    if (this.value === null) window.history.pushState({ ...window.history.state, [this.name]: 'pushed' }, '', this.with(value));
    else window.history.replaceState(window.history.state, '', this.with(value));
    this.show(value);
  }

  /** To something else; Back leads here again. */
  leave() {
    window.history.pushState({ ...window.history.state, [this.name]: undefined }, '', this.with(null));
    this.dialog.close();
  }

  /** Closed by the button, Escape or Back: the address follows, unless Back has changed it already. */
  onClosed() {
    if (this.value === null) return;
    if (window.history.state?.[this.name] === 'pushed') window.history.back();
    else window.history.replaceState(window.history.state, '', this.with(null));
  }

  onBack() {
    const { image } = this.host.dataset, url = new URL(window.location.href), { value } = this;
    if (image) { // another one may be open than when this address was left
      url.searchParams.set('image', image);
      window.history.replaceState(window.history.state, '', url);
    }
    if (value !== null) this.show(value);
    else this.dialog.close();
  }

  with(value) {
    const url = new URL(window.location.href);
    if (value === null) url.searchParams.delete(this.name);
    else url.searchParams.set(this.name, value);
    return url;
  }
}
