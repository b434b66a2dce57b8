// The panel beside the image: the score of the case and of the open image, its fields, legend, review, report, list of cases.
// Every text from outside goes in by textContent.

import { button, el } from './element.js';
import { number, percent, plural, range } from './numbers.js';
import { PALETTES, TITLES, drawMark } from './palettes.js';
import { CLASSES } from './points.js';
import { ReviewPanel } from './reviewpanel.js';
import { describeOutdated } from './lessonwords.js';
import { describeSignature } from './signoff.js';
import { describeMore, describeScore, listWarnings } from './verdict.js';

const IMPORT = 'QuPath import'; // the version's name of annotations that were brought in
const RESEARCH_USE_ONLY = 'For research use only. Not for use in diagnostic procedures.';

/** What is going on with a case, in one sentence, and how far it is (0..1, or null). */
function describeState(caseData) {
  const { state, ahead, tiles_done: done, tiles_total: total, seconds_left: left } = caseData;
  if (state === 'needs pixel size') return ['The file states no pixel size. Give µm/px on the left and press Score.', null];
  if (state === 'queued') return [`Waiting for the scoring worker…${ahead ? ` ${plural(ahead, 'image comes', 'images come')} first.` : ''}`, 0];
  if (state === 'failed') return [caseData.error || 'Scoring failed.', null];
  if (state !== 'running') return ['', null];
  const time = left === null ? '' : `, about ${left < 1.5 ? 1 : Math.round(left)} s left`;
  return [`Scoring: ${done} of ${total} tile${total === 1 ? '' : 's'} done${time}`, total ? done / total : 0];
}

export class Panel {
  /** handlers: onPalette(name), onToggle(class, shown), and those of ReviewPanel. desk: the case's parts. */
  constructor(host, handlers, desk) {
    Object.assign(this, { handlers, shown: [true, true, true], palette: 'paper', service: null, ofGradio: [] });
    this.notices = el('div', { class: 'nv-notices', role: 'alert' });
    this.head = el('div', {});
    this.verdict = el('div', { 'aria-live': 'polite' });
    this.below = el('div', {});
    this.about = el('section', { class: 'nv-about', 'aria-label': 'Open image' });
    this.score = el('section', { class: 'nv-score', 'aria-label': 'Score' }, this.head, desk.protocol.node, this.verdict, desk.protocol.inputs, this.below);
    this.legend = el('section', { class: 'nv-legend', 'aria-label': 'Legend' });
    this.review = new ReviewPanel(handlers);
    const key = el('p', { class: 'nv-hint' }, 'Ring around a mark: changed or confirmed by a person; with ticks: placed by one. Pale: left out. Non-tumour never enters the index.');
    host.append(this.notices, this.score, desk.fields.node, this.about, this.legend, key, this.review.node, desk.more, desk.sign.node, desk.worklist.node, desk.slides.node, desk.list.node, el('p', { class: 'nv-ruo' }, RESEARCH_USE_ONLY));
  }

  /** Gradio's, in place of its last ones; the viewer's own stay. */
  showNotices(notices) {
    for (const node of this.ofGradio) node.remove();
    this.ofGradio = notices.map(({ kind, text }) => this.addNotice(kind, text));
  }

  /** once: in place of the same text; key: of an earlier one with the same key; action: [text, what a button does]; forMs: it goes by itself. */
  addNotice(kind, text, { once = false, key = once ? text : '', action, forMs } = {}) {
    if (key) this.dropNotice(key);
    const node = el('div', { class: `nv-notice nv-${kind}`, 'data-notice': key || null }, el('span', {}, text),
      action ? button(action[0], () => { node.remove(); action[1](); }, { class: 'nv-notice-act' }) : null,
      button('×', () => node.remove(), { class: 'nv-notice-off', title: 'Dismiss', 'aria-label': 'Dismiss' }));
    this.notices.append(node);
    this.notices.scrollTop = this.notices.scrollHeight;
    if (forMs) setTimeout(() => node.remove(), forMs);
    return node;
  }

  dropNotice(key) {
    for (const node of [...this.notices.children]) if (node.dataset.notice === key) node.remove();
  }

  /** Whether there is something to review. */
  showReview(shown) {
    this.review.node.hidden = !shown;
  }

  /** data: the open image; shown: the case (CaseDesk.shown), or null while there is none. */
  showCase(data, shown) {
    const known = JSON.stringify([data, shown, this.service]);
    if (known === this.shownCase) return;
    this.shownCase = known;
    const isOne = !shown || shown.isSimple, { state } = shown ?? {};
    this.head.replaceChildren(el('h2', {}, isOne ? data.label : state.sheet.label || `Case ${state.id}`),
      ...(isOne && state && state.sheet.label && state.sheet.label !== data.label ? [el('p', { class: 'nv-hint' }, state.sheet.label)] : []),
      ...(data.synthetic && isOne ? [el('p', { class: 'nv-synthetic' }, 'Synthetic field drawn by this app. No patient.')] : []),
      ...(state?.signature ? [el('p', { class: 'nv-sealed' }, describeSignature(state.signature))] : []));
    const image = isOne ? [...this.progress(data), ...this.result(data)] : this.progress(data), warnings = isOne ? [...new Set([...data.warnings, ...(state?.warnings ?? [])])] : state.warnings;
    const scale = el('p', { class: 'nv-scale' }, `${number(data.width_px)} × ${number(data.height_px)} px`, data.mpp === null ? ', pixel size unknown' : ` at ${data.mpp.toPrecision(3)} µm/px (${data.mpp_source})`,
      data.version ? el('span', { class: 'nv-version', title: data.version.sha256 }, ` · ${data.version.name} ${data.version.sha256.slice(0, 8)}`) : null);
    this.verdict.replaceChildren(...image, ...(isOne ? [] : describeScore(state).filter(Boolean)));
    this.verdict.classList.toggle('nv-waiting', !isOne && (shown.isWaiting || state.busy));
    const outdated = state?.signature ? '' : describeOutdated(data, this.service), hint = outdated ? el('p', { class: 'nv-hint nv-outdated' }, outdated) : null; // what is signed stays as it is
    const below = JSON.stringify([isOne, data.id, data.mpp, data.version, outdated, warnings, state?.id, state?.score, state?.rule]);
    if (below !== this.shownBelow) this.below.replaceChildren(...[listWarnings(warnings), ...(isOne ? [scale, hint] : []), ...(state ? keepOpen(this.below, describeMore(state)) : [])].filter(Boolean));
    this.shownBelow = below;
    this.about.hidden = isOne;
    if (!isOne) this.about.replaceChildren(el('h3', {}, state.images.length > 1 ? `Open image: ${data.label}` : 'Whole image'), ...[...this.line(data, state.rule.cutoffs), scale, hint].filter(Boolean));
    this.showLegend(data.counts, isOne || shown.isOfImage);
  }

  /** What is going on with the open image. */
  progress(data) {
    const [text, progress] = describeState(data), parts = [];
    if (text) {
      parts.push(el('p', { class: `nv-state nv-state-${data.state.replaceAll(' ', '-')}` }, text));
      if (progress !== null) parts.push(el('progress', progress > 0 || data.tiles_total > 1 ? { value: progress, max: 1, 'aria-label': 'Tiles done' } : { 'aria-label': 'Working' }));
    }
    if (data.refused) parts.push(el('p', { class: 'nv-refused' }, 'Not counted'));
    return parts;
  }

  /** The open image's own result in one line, where the case's number is the big one. */
  line(data, cutoffs) {
    const { counts, index_percent: index, ci95_percent: interval, waiting } = data;
    if (!counts) return [];
    const of = `${number(counts.positive)} of ${number(counts.positive + counts.negative)}`;
    return [el('p', { class: 'nv-image-line' }, index === null ? 'no tumour nucleus' : el('strong', {}, `${percent(index, cutoffs)} %`), index === null ? '' : ` · ${interval && !waiting ? `${range(...interval, cutoffs)} %` : '…'} · ${of}`), ...this.changes(data)];
  }

  result(data) {
    const { counts, index_percent: index, ci95_percent: interval, sparse, waiting } = data, parts = [];
    if (!counts) return parts;
    const tumour = counts.positive + counts.negative;
    if (index !== null) {
      parts.push(
        el('p', { class: `nv-index${sparse ? ' nv-sparse' : ''}` }, el('span', { class: 'nv-value' }, percent(index)), ' %', el('span', { class: 'nv-name' }, 'Ki67 labelling index')),
        el('p', { class: 'nv-interval' }, interval && !waiting ? `95 % interval ${range(...interval)} % (Wilson)` : '95 % interval …'),
      );
    }
    return [...parts, el('p', { class: 'nv-counts' }, el('strong', {}, number(counts.positive)), ' positive of ', el('strong', {}, number(tumour)), ' tumour nuclei'), ...this.changes(data)];
  }

  /** What was done by hand, and what the network alone had counted. */
  changes({ left_out: leftOut, edited, placed, deleted, network_counts: network, version }) {
    const isImport = version?.name === IMPORT, changed = [[edited, 'classed or moved'], [placed, 'added'], [deleted, 'removed'], [leftOut, 'left out by regions']].filter(([n]) => n);
    if (!changed.length) return [];
    const own = network && network.positive + network.negative ? ` ${isImport ? 'As imported' : 'Network alone'}: ${number(network.positive)} of ${number(network.positive + network.negative)}.` : '';
    return [el('p', { class: 'nv-changed' }, `By hand: ${changed.map(([n, what]) => `${number(n)} ${what}`).join(', ')}.${own}`)];
  }

  /** Built anew only for another palette: else a select would lose the focus with every count. isAll: the score is of the same nuclei. */
  showLegend(counts, isAll) {
    if (this.legendOf !== this.palette) this.buildLegend();
    this.legendTitle.hidden = isAll;
    this.numbers.forEach((node, kind) => { node.textContent = counts ? number(counts[CLASSES[kind]]) : ''; });
  }

  buildLegend() {
    this.legendOf = this.palette;
    const colours = PALETTES[this.palette].colours;
    this.numbers = CLASSES.map(() => el('span', { class: 'nv-n' }));
    const rows = CLASSES.map((slug, kind) => {
      const swatch = el('canvas', { width: 36, height: 36, class: 'nv-swatch', 'aria-hidden': 'true' });
      drawMark(swatch.getContext('2d'), kind, colours[kind], 18, 18, 11);
      const box = el('input', { type: 'checkbox', 'data-class': slug, checked: this.shown[kind], onchange: (e) => { this.shown[kind] = e.target.checked; this.handlers.onToggle(kind, e.target.checked); } });
      return el('label', { class: 'nv-class' }, box, swatch, el('span', {}, TITLES[kind]), this.numbers[kind]);
    });
    this.legendTitle ??= el('h3', { hidden: true }, 'In the open image');
    this.select ??= el('select', { 'aria-label': 'Palette', onchange: (e) => this.changePalette(e.target.value) },
      ...Object.entries(PALETTES).map(([name, { title }]) => el('option', { value: name, selected: name === this.palette }, title)));
    const isFocused = document.activeElement === this.select;
    this.legend.replaceChildren(this.legendTitle, ...rows, this.select);
    if (isFocused) this.select.focus();
  }

  changePalette(name) {
    const counts = this.numbers.map((node) => node.textContent);
    this.palette = name;
    this.handlers.onPalette(name);
    this.buildLegend();
    this.numbers.forEach((node, kind) => { node.textContent = counts[kind]; });
  }
}

/** Parts whose disclosures are as they were: built anew they would close. */
function keepOpen(host, parts) {
  if (host.querySelector('details')?.open) parts.find((part) => part?.matches('details'))?.setAttribute('open', '');
  return parts;
}
