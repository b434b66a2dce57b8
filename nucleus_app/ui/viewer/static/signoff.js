// Signing a case off, opening it again, and its downloads.

import { button, el, refill } from './element.js';
import { range, when } from './numbers.js';
import { countWarnings } from './verdict.js';

const LONGEST_REASON = 1000, SHORT_HASH = 12;

export class SignOff {
  /** handlers: onSign() and onReopen(reason) → what went wrong, or ''; onReader(name). reader: the person's name. */
  constructor(base, handlers, reader) {
    Object.assign(this, { base, handlers, asks: '', shown: '', wrong: '', isSending: false });
    this.name = el('input', { type: 'text', maxlength: 60, value: reader, placeholder: 'your name or initials', 'aria-label': 'Reader', oninput: () => { handlers.onReader(this.name.value.trim()); this.update(); } });
    this.box = el('div', { class: 'nv-sign', 'aria-live': 'polite', tabindex: -1 });
    this.rest = el('div', { class: 'nv-row' });
    this.more = el('details', {}, el('summary', {}, 'More files'), this.rest);
    this.files = el('div', { class: 'nv-downloads' });
    this.node = el('section', { class: 'nv-report', 'aria-label': 'Report' }, el('label', { class: 'nv-reader' }, 'Reader', this.name), this.box, this.files);
  }

  /** The reader gave a name elsewhere on the page. */
  rename(name) {
    this.name.value = name;
    this.update();
  }

  /** context: { isWaiting, isSending (corrections of an image that was left), image (its id, or null), palette }. state: null where there is no case. */
  show(state, context) {
    Object.assign(this, { state, context });
    if (!state) this.asks = this.wrong = '';
    this.update();
  }

  update() {
    const { state, context } = this;
    this.box.hidden = this.files.hidden = !state;
    if (!state) return;
    this.showFiles();
    if (this.of !== `${state.id}:${Boolean(state.signature)}`) this.asks = this.wrong = this.reason = ''; // the question was about something else
    this.of = `${state.id}:${Boolean(state.signature)}`;
    const shown = JSON.stringify([state.signature, state.digest, state.revision, context, this.asks, this.wrong, this.isSending, this.name.value.trim()]);
    if (shown === this.shown) return;
    this.shown = shown;
    refill(this.box, ...(state.signature ? this.signed() : this.open()));
  }

  ask(what) {
    this.asks = what;
    this.wrong = '';
    this.update();
    this.box.querySelector('input, .nv-main')?.focus();
  }

  open() {
    const { score, rule, images, busy } = this.state, again = this.state.revision > 1 ? `Revision ${this.state.revision}. ` : '';
    const { primary } = score;
    if (this.asks !== 'sign') {
      const hint = `${again ? `${again}Reopened.` : ''}${primary ? '' : ' No score to sign yet.'}`.trim();
      return [el('div', { class: 'nv-row' }, button('Sign off…', () => this.ask('sign'), { 'data-key': 'sign', disabled: !primary }), hint ? el('span', { class: 'nv-hint' }, hint) : null)];
    }
    const name = this.name.value.trim();
    const what = primary ? `${primary.name} ${primary.shown} % (95 % interval ${range(primary.low_percent, primary.high_percent, rule.cutoffs)} %), ${score.class_name ?? 'no class'}, ${countWarnings(this.state.warnings.length)}, ${images.length === 1 ? '1 image' : `${images.length} images`}.`
      : `nothing, there is no score. ${score.missing}`;
    const waits = busy ? 'An image is still being scored.' : this.context.isSending ? 'Corrections of an image of this case are being saved…' : this.context.isWaiting ? 'The last change is being saved…' : '';
    return [el('div', { class: 'nv-confirm', role: 'group', 'aria-label': 'Sign off' },
      el('p', {}, el('strong', {}, again || 'You sign: '), what),
      el('p', {}, name ? `Signed by ${name}. It is locked then, until someone reopens it with a reason.` : 'Give your name in the field above first.'),
      waits ? el('p', { class: 'nv-hint' }, waits) : null,
      this.complaint(),
      el('div', { class: 'nv-row' },
        button('Sign', () => this.do(() => this.handlers.onSign()), { class: 'nv-main', 'data-key': 'sign-now', disabled: !name || !primary || Boolean(waits) || this.isSending }),
        button('Not yet', () => this.ask(''), { 'data-key': 'not-yet' })))];
  }

  signed() {
    const { reader, at, revision, reason, sha256 } = this.state.signature;
    const name = this.name.value.trim(), isReady = () => Boolean(name && input.value.trim() && !this.isSending);
    const input = el('input', { type: 'text', maxlength: LONGEST_REASON, placeholder: 'Reason', 'aria-label': 'Reason for reopening', 'data-key': 'reason', autocomplete: 'off', value: this.reason ?? '',
      oninput: () => { this.reason = input.value; go.disabled = !isReady(); }, onkeydown: (e) => { if (e.key === 'Enter' && isReady()) this.reopen(); } });
    const go = button('Reopen', () => this.reopen(), { class: 'nv-main', 'data-key': 'reopen-now', disabled: !isReady() });
    return [
      el('p', { class: 'nv-signed' }, el('strong', {}, '✓ Signed off'), ` by ${reader}, ${when(at)}`, el('br'), el('span', { title: sha256 }, `revision ${revision} · ${sha256.slice(0, SHORT_HASH)}`), reason ? el('span', {}, ` · reopened before: ${reason}`) : null),
      this.asks === 'reopen' ? el('div', { class: 'nv-confirm', role: 'group', 'aria-label': 'Reopen' }, el('p', {}, `Why is it changed? The reason is printed in the report. ${name ? `Reopened by ${name}.` : 'Give your name in the field above first.'}`), input, this.complaint(), el('div', { class: 'nv-row' }, go, button('Leave it signed', () => this.ask(''), { 'data-key': 'leave' })))
        : el('div', { class: 'nv-row' }, button('Reopen…', () => this.ask('reopen'), { 'data-key': 'reopen' }), el('span', { class: 'nv-hint' }, 'Locked until then.')),
    ];
  }

  reopen() {
    return this.do(() => this.handlers.onReopen(this.reason.trim()));
  }

  /** Ask the server; what goes wrong is said here, where the question was. Afterwards the focus is on what came of it. */
  async do(act) {
    const { id } = this.state;
    Object.assign(this, { wrong: '', isSending: true });
    this.update();
    const wrong = await act();
    Object.assign(this, { wrong: this.state?.id === id ? wrong : '', isSending: false });
    this.update();
    if (this.state?.id === id && (document.activeElement === document.body || this.box.contains(document.activeElement))) this.box.focus({ preventScroll: true });
  }

  complaint() {
    return this.wrong ? el('p', { class: 'nv-wrong-now', role: 'alert' }, this.wrong) : null;
  }

  /** Links stay the same nodes, and what is folded out stays so, while the same case and image are open. */
  showFiles() {
    const { id } = this.state, { image, palette } = this.context, slide = this.state.images.find((other) => other.id === image)?.slide, files = JSON.stringify([id, image, palette, slide]);
    if (files === this.filed) return;
    this.filed = files;
    const link = (name, text, title) => el('a', { href: `${this.base}nucleus/api/cases/${id}/${name}`, download: true, title }, text);
    this.rest.replaceChildren(
      link('case.csv', 'CSV of the case'), link('fields.csv', 'CSV of fields'), link('nuclei.csv', 'CSV of nuclei'), link('edits.csv', 'CSV of corrections', 'Who changed what, and when'), link('coco.json', 'COCO'),
      ...(image === null ? [] : [link(`qupath-${image}.geojson`, 'GeoJSON for QuPath', 'The open image: one object per nucleus'), link(`qupath-${image}.geojson?multipoint=1`, 'GeoJSON, one object per class', 'The open image: a multipoint for each class, which large images need')]),
      ...(slide ? [el('a', { href: `${this.base}nucleus/api/slides/${slide}/qupath.geojson`, download: true, title: 'All fields of the slide that the open image was cut out of, at their places on it' }, 'GeoJSON on the slide')] : []));
    this.files.replaceChildren(link(`report.pdf?palette=${palette}`, 'PDF report'), link('report.xlsx', 'XLSX'), link('report.json', 'JSON'), this.more);
  }
}

/** One line on what was signed, for the top of the panel. */
export function describeSignature({ reader, at }) {
  return `Signed off by ${reader}, ${when(at)}. Locked.`;
}

