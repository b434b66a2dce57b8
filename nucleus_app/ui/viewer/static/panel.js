// The panel beside the image: state and progress, counts, index, warnings, legend, downloads, list of cases.
// Every text from outside goes in by textContent.

import { el } from './element.js';
import { PALETTES, TITLES, drawMark } from './palettes.js';
import { CLASSES } from './points.js';
import { ReviewPanel } from './reviewpanel.js';

const LISTED = 300; // as many as the server lists
const RESEARCH_USE_ONLY = 'For research use only. Not for use in diagnostic procedures.';

const number = (value) => value.toLocaleString('en-US');
const percent = (value) => value.toFixed(1);

/** What is going on with a case, in one sentence, and how far it is (0..1, or null). */
export function describeState(caseData) {
  const { state, tiles_done: done, tiles_total: total, seconds_left: left } = caseData;
  if (state === 'needs pixel size') return ['The file states no pixel size. Give µm/px on the left and press Score.', null];
  if (state === 'queued') return ['Waiting for the scoring worker…', 0];
  if (state === 'failed') return [caseData.error || 'Scoring failed.', null];
  if (state !== 'running') return ['', null];
  const time = left === null ? '' : `, about ${left < 1.5 ? 1 : Math.round(left)} s left`;
  return [`Scoring: ${done} of ${total} tile${total === 1 ? '' : 's'} done${time}`, total ? done / total : 0];
}

export class Panel {
  /** handlers: onPalette(name), onToggle(class, shown), onOpen(id), and those of ReviewPanel. reader: the person's name. */
  constructor(host, base, handlers, reader) {
    Object.assign(this, { base, handlers, shown: [true, true, true], palette: 'paper' });
    this.notices = el('div', { class: 'nv-notices', role: 'alert' });
    this.score = el('section', { class: 'nv-score', 'aria-live': 'polite', 'aria-label': 'Score' });
    this.legend = el('section', { class: 'nv-legend', 'aria-label': 'Legend' });
    this.cases = el('section', { class: 'nv-cases', 'aria-label': 'Cases' });
    this.review = new ReviewPanel(handlers, reader);
    const key = el('p', { class: 'nv-hint' }, 'Ring around a mark: changed by a person; with ticks: placed by one. Pale: left out. Non-tumour never enters the index.');
    host.append(this.notices, this.score, this.legend, key, this.review.node, this.cases, el('p', { class: 'nv-ruo' }, RESEARCH_USE_ONLY));
  }

  showNotices(notices) {
    this.notices.replaceChildren();
    for (const { kind, text } of notices) this.addNotice(kind, text);
  }

  addNotice(kind, text) {
    this.notices.append(el('div', { class: `nv-notice nv-${kind}` }, el('span', {}, text),
      el('button', { type: 'button', title: 'Dismiss', 'aria-label': 'Dismiss', onclick: (e) => e.target.parentNode.remove() }, '×')));
  }

  /** Whether there is something to review. */
  showReview(shown) {
    this.review.node.hidden = !shown;
  }

  showCase(data) {
    const shown = JSON.stringify(data);
    if (shown === this.shownCase) return;
    this.shownCase = shown;
    const [text, progress] = describeState(data);
    const parts = [el('h2', {}, data.label)];
    if (data.synthetic) parts.push(el('p', { class: 'nv-synthetic' }, 'Synthetic field drawn by this app. No patient.'));
    if (text) {
      parts.push(el('p', { class: `nv-state nv-state-${data.state.replaceAll(' ', '-')}` }, text));
      if (progress !== null) parts.push(el('progress', progress > 0 || data.tiles_total > 1 ? { value: progress, max: 1, 'aria-label': 'Tiles done' } : { 'aria-label': 'Working' }));
    }
    if (data.refused) parts.push(el('p', { class: 'nv-refused' }, 'Not counted'));
    if (data.counts) parts.push(...this.result(data));
    if (data.warnings.length) parts.push(el('ul', { class: 'nv-warnings' }, ...data.warnings.map((w) => el('li', {}, w))));
    parts.push(el('p', { class: 'nv-scale' }, data.mpp === null
      ? `${number(data.width_px)} × ${number(data.height_px)} px, pixel size unknown`
      : `${number(data.width_px)} × ${number(data.height_px)} px at ${data.mpp.toPrecision(3)} µm/px (${data.mpp_source})`));
    if (data.counts) parts.push(this.downloads(data));
    this.score.replaceChildren(...parts);
    this.showLegend(data.counts);
  }

  result({ counts, index_percent: index, ci95_percent: interval, sparse, waiting, left_out: leftOut, edited, placed, deleted, network_counts: network }) {
    const tumour = counts.positive + counts.negative;
    const parts = [];
    if (index !== null) {
      const range = interval && !waiting ? `95 % interval ${percent(interval[0])} to ${percent(interval[1])} % (Wilson)` : '95 % interval …';
      parts.push(
        el('p', { class: `nv-index${sparse ? ' nv-sparse' : ''}` }, el('span', { class: 'nv-value' }, percent(index)), ' %', el('span', { class: 'nv-name' }, 'Ki67 labelling index')),
        el('p', { class: 'nv-interval' }, range),
      );
    }
    parts.push(el('p', { class: 'nv-counts' }, el('strong', {}, number(counts.positive)), ' positive of ', el('strong', {}, number(tumour)), ' tumour nuclei'));
    const changed = [[edited, 'classed or moved'], [placed, 'added'], [deleted, 'removed'], [leftOut, 'left out by regions']].filter(([n]) => n);
    if (changed.length) {
      const own = network && network.positive + network.negative ? ` The network alone: ${number(network.positive)} of ${number(network.positive + network.negative)}.` : '';
      parts.push(el('p', { class: 'nv-changed' }, `By hand: ${changed.map(([n, what]) => `${number(n)} ${what}`).join(', ')}.${own}`));
    }
    return parts;
  }

  downloads({ id, version }) {
    const link = (name, text) => el('a', { href: `${this.base}nucleus/api/images/${id}/${name}`, download: true }, text);
    return el('p', { class: 'nv-downloads' }, link('result.json', 'JSON'), link('nuclei.csv', 'CSV of nuclei'),
      el('span', { class: 'nv-version', title: version.sha256 }, `${version.name} · ${version.sha256.slice(0, 8)}`));
  }

  /** Built anew only for another palette: else a select would lose the focus with every count. */
  showLegend(counts) {
    if (this.legendOf !== this.palette) this.buildLegend();
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
    this.select ??= el('select', { 'aria-label': 'Palette', onchange: (e) => this.changePalette(e.target.value) },
      ...Object.entries(PALETTES).map(([name, { title }]) => el('option', { value: name, selected: name === this.palette }, title)));
    const isFocused = document.activeElement === this.select;
    this.legend.replaceChildren(...rows, this.select);
    if (isFocused) this.select.focus();
  }

  changePalette(name) {
    const counts = this.numbers.map((node) => node.textContent);
    this.palette = name;
    this.handlers.onPalette(name);
    this.buildLegend();
    this.numbers.forEach((node, kind) => { node.textContent = counts[kind]; });
  }

  showCases(list, openId) {
    const shown = JSON.stringify([list, openId]);
    if (shown === this.shownCases) return; // a rebuilt list would lose its place, and the press of a button
    this.shownCases = shown;
    const scrolled = this.cases.querySelector('.nv-list')?.scrollTop ?? 0;
    const short = (c) => (c.refused ? 'not counted' : c.counts ? (c.index_percent === null ? 'no tumour' : `${percent(c.index_percent)} %`) : c.state === 'running' && c.tiles_total > 1 ? `${c.tiles_done}/${c.tiles_total}` : c.state);
    const focused = this.cases.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    this.cases.replaceChildren(
      el('h3', {}, list.length < LISTED ? `Cases (${list.length})` : `Latest ${LISTED} cases`),
      el('div', { class: 'nv-list' }, ...list.map((c) =>
        el('button', { type: 'button', 'data-id': c.id, 'aria-current': c.id === openId ? 'true' : null, onclick: () => this.handlers.onOpen(c.id) },
          el('span', { class: 'nv-label' }, c.label), el('span', { class: `nv-short nv-short-${c.state.replaceAll(' ', '-')}` }, short(c))))),
    );
    this.cases.querySelector('.nv-list').scrollTop = scrolled;
    if (focused) this.cases.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
  }
}
