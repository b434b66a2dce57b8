// Versions of the network as a lineage: which came of which, what became of it, and the way to put an earlier one in service.

import { button, el, refill, shape } from './element.js';
import { describeActivation, outcomeOf } from './lessonwords.js';
import { when } from './numbers.js';

const LANE_PX = 14, MOST_LANES = 5, AT_FIRST = 12, TOLD = 3;

export class Lineage {
  /** handlers: reader(), onReader(name), onActivate(sha256) → what went wrong, or '' ; onRun(id). */
  constructor(handlers) {
    Object.assign(this, { handlers, asks: '', wrong: '', isSending: false, isAll: false, shown: '', versions: [], activations: [] });
    this.list = el('ol', { class: 'nv-lineage' });
    this.rest = el('p', { hidden: true });
    this.node = el('section', { class: 'nv-card', 'aria-label': 'Versions' }, el('h3', {}, 'Versions'), this.list, this.rest);
  }

  /** versions, and who put which in service when: as the server lists them. */
  show(versions, activations = []) {
    this.activations = activations;
    this.versions = [...versions].sort((a, b) => (a.created < b.created ? 1 : a.created > b.created ? -1 : 0));
    if (!this.versions.some(({ sha256 }) => sha256 === this.asks)) this.asks = '';
    this.update();
  }

  update() {
    const { asks, wrong, isSending, isAll, versions, activations } = this, shown = JSON.stringify([versions, activations, asks, wrong, isSending, isAll, this.handlers.reader()]);
    if (shown === this.shown) return;
    this.shown = shown;
    const lanes = layOut(versions), listed = isAll ? versions : versions.filter((version, i) => i < AT_FIRST || version.is_active || version.sha256 === asks);
    const names = new Map(versions.map(({ sha256, name }) => [sha256, name])), width = placeLane(Math.max(0, ...lanes.map(({ at }) => at))) + LANE_PX / 2;
    refill(this.list, ...listed.map((version) => this.row(version, drawLanes(lanes[versions.indexOf(version)], width), names)));
    const left = versions.length - listed.length;
    this.rest.hidden = !left;
    this.rest.replaceChildren(...(left ? [button(`${left} earlier`, () => { this.isAll = true; this.update(); })] : []));
  }

  row(version, graph, names) {
    const { sha256, name, parent, created, run_id: run, is_active: isActive, state, sentence } = version, [mark, word] = outcomeOf(state);
    const facts = [
      parent ? `from ${names.get(parent) ?? parent.slice(0, 8)}` : '', created ? when(created) : '',
    ].filter(Boolean).join(' · ');
    return el('li', { 'data-sha': sha256, tabindex: -1, 'aria-current': isActive ? 'true' : null }, graph,
      el('div', { class: 'nv-version-row' },
        el('div', { class: 'nv-version-head' }, el('strong', { title: sha256 }, name), isActive ? el('span', { class: 'nv-in-service' }, '● in service') : null,
          isActive ? null : button('Put in service…', () => this.ask(sha256), { 'data-key': `ask-${sha256}`, 'aria-label': `Put ${name} in service…`, class: 'nv-quiet', 'aria-expanded': this.asks === sha256 })),
        facts ? el('p', { class: 'nv-hint' }, facts) : null,
        run ? el('p', { class: 'nv-hint' }, el('span', { class: `nv-mark nv-mark-${state}`, 'aria-hidden': 'true' }, mark), ` ${word} · `, button(`lesson ${run}`, () => this.handlers.onRun(run), { class: 'nv-link', 'data-key': `run-${sha256}` })) : null,
        ...this.activations.filter((row) => row.sha256 === sha256).slice(0, TOLD).map((row) => el('p', { class: 'nv-hint' }, describeActivation(row))),
        sentence ? el('p', { class: 'nv-version-words' }, sentence) : null,
        this.asks === sha256 ? this.confirm(version) : null));
  }

  ask(sha256) {
    Object.assign(this, { asks: this.asks === sha256 ? '' : sha256, wrong: '' });
    this.update();
    if (!this.asks) return this.list.querySelector(`[data-key="ask-${sha256}"]`)?.focus();
    const box = this.list.querySelector('.nv-confirm');
    box?.querySelector(this.handlers.reader() ? '.nv-main' : 'input')?.focus();
    box?.scrollIntoView({ block: 'nearest' });
  }

  confirm({ sha256, name, state }) {
    const isReady = () => Boolean(this.handlers.reader() && !this.isSending);
    const input = el('input', { type: 'text', maxlength: 60, value: this.handlers.reader(), placeholder: 'your name or initials', 'data-key': 'activate-reader', autocomplete: 'off',
      oninput: () => { this.handlers.onReader(input.value.trim()); go.disabled = !isReady(); }, onkeydown: (event) => { if (event.key === 'Enter' && isReady()) this.activate(sha256); } });
    const go = button('Put in service', () => this.activate(sha256), { class: 'nv-main', 'data-key': 'activate-now', disabled: !isReady() });
    return el('div', { class: 'nv-confirm', role: 'group', 'aria-label': `Put ${name} in service` },
      ['rejected', 'undecided'].includes(state) ? el('p', { class: 'nv-careful' }, el('strong', {}, state === 'rejected' ? 'The judge did not take this one.' : 'There was not enough evidence for this one.'), ' Look at its lesson first.') : null,
      el('p', {}, `${name} then scores the next images. Images that are scored keep their numbers until they are scored again. You can go back the same way.`),
      el('label', { class: 'nv-above' }, 'Reader', input),
      this.wrong ? el('p', { class: 'nv-wrong-now', role: 'alert' }, this.wrong) : null,
      el('div', { class: 'nv-row' }, go, button('Leave it', () => this.ask(sha256), { 'data-key': 'activate-not' })));
  }

  /** Take the question back. Returns whether there was one. */
  drop() {
    const { asks } = this;
    if (asks) this.ask(asks);
    return Boolean(asks);
  }

  async activate(sha256) {
    Object.assign(this, { isSending: true, wrong: '' });
    this.update();
    const wrong = await this.handlers.onActivate(sha256);
    Object.assign(this, { isSending: false, wrong, asks: wrong ? sha256 : '' });
    this.update();
    this.list.querySelector(wrong ? '[data-key=activate-now]' : `[data-sha="${CSS.escape(sha256)}"]`)?.focus();
  }
}

/**
 * Lanes of a graph, a row for each version, the latest first: { at: its own lane, through: lanes that only pass, from: lanes of its children that end
 * here, hasParent }.
 */
function layOut(versions) {
  const listed = new Set(versions.map(({ sha256 }) => sha256)), mainline = new Set();
  const parents = new Map(versions.map(({ sha256, parent }) => [sha256, parent]));
  for (let sha = versions.find((version) => version.is_active)?.sha256; sha && !mainline.has(sha); sha = parents.get(sha)) mainline.add(sha);
  const waits = []; // lane → whom it leads down to
  return versions.map(({ sha256, parent }) => {
    const from = waits.flatMap((wanted, lane) => (wanted === sha256 ? [lane] : []));
    let at = mainline.has(sha256) ? 0 : from[0] ?? -1;
    if (at < 0) for (at = 1; waits[at] !== undefined; at++);
    for (const lane of from) waits[lane] = undefined;
    const through = waits.flatMap((wanted, lane) => (wanted === undefined ? [] : [lane]));
    const hasParent = Boolean(parent && listed.has(parent));
    if (hasParent) waits[at] = parent;
    return { at, through, from, hasParent };
  });
}

const placeLane = (lane) => LANE_PX * (Math.min(lane, MOST_LANES - 1) + 0.5);

/** The part of the graph beside one row; it grows with the row, its lines stay thin. */
function drawLanes({ at, through, from, hasParent }, width) {
  const x = placeLane, line = (lane, y1, y2) => shape('line', { x1: x(lane), x2: x(lane), y1, y2, class: 'nv-lane' });
  const top = shape('svg', { width, height: 18, viewBox: `0 0 ${width} 18` }, ...through.map((lane) => line(lane, 0, 18)),
    ...from.map((lane) => shape('path', { d: lane === at ? `M${x(at)} 0V12` : `M${x(lane)} 0C${x(lane)} 10 ${x(at)} 4 ${x(at)} 12`, class: 'nv-lane' })),
    ...(hasParent ? [line(at, 12, 18)] : []), shape('circle', { cx: x(at), cy: 12, r: 4.5, class: 'nv-node' }));
  const below = shape('svg', { class: 'nv-lanes-below', width, viewBox: `0 0 ${width} 10`, preserveAspectRatio: 'none' }, ...[...through, ...(hasParent ? [at] : [])].map((lane) => line(lane, 0, 10.15))); // a little further: rows end between pixels
  return el('div', { class: 'nv-lanes', 'aria-hidden': 'true' }, top, below);
}
