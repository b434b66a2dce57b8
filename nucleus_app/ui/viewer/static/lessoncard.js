// What happens next: how far it is to the next lesson, or how the one that runs is doing; begin one, stop one.

import { Curves } from './curves.js';
import { button, el, refill } from './element.js';
import { STEPS, describeNext, describeTrainer, isPaused, triggerOf } from './lessonwords.js';
import { duration, number, plural } from './numbers.js';

const HOW = [
  ['Sign off cases with corrections: the network learns from them.', 'Only signed cases teach, never half-finished work. A corrected nucleus teaches most. Where you corrected anything, untouched marks in the counted field teach a little too; mark what you looked at as reviewed, and they teach more.'],
  ['Some signed cases are locked away.', 'One of four never teaches. On those the new version must do better than the one in service, or it is not taken.'],
  ['Nothing changes behind your back.', 'A new version scores the next images only. Each score names its version, and you can put an earlier one back with one click.'],
];
const SIDES = [['train', 'teach'], ['validation', 'check while it learns'], ['locked', 'are locked away to judge']];
const ENOUGH_LOCKED = 2, NOTES = 3;

export class LessonCard {
  /** handlers: onStart(), onCancel(run id) → what went wrong, or ''. */
  constructor(handlers) {
    Object.assign(this, { handlers, asks: false, wrong: '', isSending: false, shown: '' });
    this.title = el('h3', {});
    this.next = el('div', {});
    this.run = el('div', {});
    this.curves = createCurves();
    this.charts = el('div', { class: 'nv-charts', hidden: true }, ...Object.values(this.curves).map(({ node }) => node));
    this.acts = el('div', { class: 'nv-acts' });
    this.how = el('details', { class: 'nv-rule nv-how' }, el('summary', {}, 'How the network learns'), ...describeHow());
    this.node = el('section', { class: 'nv-card nv-lesson', 'aria-label': 'Next lesson' }, this.title, this.next, this.run, this.charts, this.acts, this.how);
  }

  /** training: as the server tells it; events: of the lesson that runs. */
  show(training, events) {
    Object.assign(this, { training, events });
    if (!training.run) this.asks = false;
    this.update();
  }

  update() {
    const { training, events, asks, wrong, isSending } = this, { run, rule, trainer, state } = training;
    const signed = SIDES.reduce((sum, [side]) => sum + rule.sides[side], rule.signed_fields), isEmpty = !run && !signed && !training.runs.length;
    this.title.textContent = run ? `Lesson ${run.id}` : isEmpty ? 'Nothing to learn from yet' : 'Next lesson';
    this.node.setAttribute('aria-label', run ? 'Lesson that runs' : 'Next lesson');
    this.how.hidden = isEmpty;
    this.charts.hidden = !run || !events.some(({ event }) => event === 'progress' || event === 'evaluation');
    if (run) showCurves(this.curves, events, run.of);
    const shown = JSON.stringify([run, rule, trainer, state, isPaused(training, events), notesOf(events), asks, wrong, isSending]);
    if (shown === this.shown) return;
    this.shown = shown;
    this.next.replaceChildren(...(run ? [] : isEmpty ? this.empty() : this.waiting(rule)));
    this.run.replaceChildren(...(run ? this.running(run) : []), this.trainerLine(run, isEmpty));
    refill(this.acts, ...this.buttons(run, isEmpty));
  }

  empty() {
    return [el('div', { class: 'nv-teach' }, ...describeHow())];
  }

  waiting(rule) {
    const { text, value, most } = describeNext(rule), { sides } = rule;
    return [
      el('p', { class: 'nv-next' }, text), most ? el('progress', { value, max: most, 'aria-label': text }) : null,
      el('p', { class: 'nv-hint' }, `Signed patients so far: ${SIDES.map(([side, what]) => `${number(sides[side])} ${what}`).join(' · ')}.`),
      sides.locked < ENOUGH_LOCKED ? el('p', { class: 'nv-hint' }, `A lesson is judged on at least ${ENOUGH_LOCKED} locked patients. ${plural(ENOUGH_LOCKED - sides.locked, 'is', 'are')} still missing: one of four signed cases becomes one.`) : null,
    ].filter(Boolean);
  }

  running(run) {
    const { state, step, of, seconds_left: left, device } = run, order = Object.keys(STEPS), at = order.indexOf(state);
    const paused = isPaused(this.training, this.events), isLearning = state === 'training' && !paused;
    const facts = [of ? `step ${number(step ?? 0)} of ${number(of)}` : '', isLearning && Number.isFinite(left) ? `about ${duration(left)} left` : '', device ? `on ${device === 'cpu' ? 'the CPU' : device}` : ''].filter(Boolean).join(' · ');
    const notes = notesOf(this.events);
    return [
      triggerOf(run) ? el('p', { class: 'nv-hint' }, triggerOf(run)) : null,
      el('ol', { class: 'nv-way', 'aria-label': 'Where the lesson stands' }, ...order.map((name, i) => el('li', { class: i < at ? 'nv-past' : null, 'aria-current': i === at ? 'step' : null }, el('span', { class: 'nv-mark', 'aria-hidden': 'true' }, i < at ? '✓' : `${i + 1}`), STEPS[name]))),
      paused ? el('p', { class: 'nv-paused', role: 'status' }, el('strong', {}, 'Paused. '), 'Images are being scored, and scoring comes first.') : null,
      el('progress', state === 'training' && of ? { value: step ?? 0, max: of, 'aria-label': `Learning: ${facts}` } : { 'aria-label': STEPS[state] ?? 'Working' }),
      facts ? el('p', { class: 'nv-facts' }, facts) : null,
      notes.length ? el('ul', { class: 'nv-run-notes' }, ...notes.map((text) => el('li', {}, text))) : null,
    ].filter(Boolean);
  }

  trainerLine(run, isEmpty) {
    const [kind, text] = describeTrainer(this.training);
    return kind === 'fine' ? (run || isEmpty ? '' : el('p', { class: 'nv-hint nv-trainer', 'data-trainer': kind }, text)) : el('p', { class: `nv-trainer nv-trainer-${kind}`, 'data-trainer': kind }, text);
  }

  buttons(run, isEmpty) {
    const wrong = this.wrong ? el('p', { class: 'nv-wrong-now', role: 'alert' }, this.wrong) : null;
    if (!run) return isEmpty || this.training.state === 'off' ? [] : [wrong, el('div', { class: 'nv-row' }, button('Learn now', () => this.do(() => this.handlers.onStart()), { class: 'nv-main', 'data-key': 'learn', disabled: this.isSending }), el('span', { class: 'nv-hint' }, 'Scoring goes on meanwhile.'))];
    if (!run.can_cancel) return [wrong, el('p', { class: 'nv-hint' }, 'It is being stopped.')];
    if (!this.asks) return [wrong, el('div', { class: 'nv-row' }, button('Stop this lesson…', () => this.ask(true), { 'data-key': 'stop' }))];
    return [el('div', { class: 'nv-confirm', role: 'group', 'aria-label': 'Stop this lesson' },
      el('p', {}, 'What it has learned so far is thrown away. The version in service stays, and your corrections stay for the next lesson.'), wrong,
      el('div', { class: 'nv-row' }, button('Stop it', () => this.do(() => this.handlers.onCancel(run.id)), { class: 'nv-main', 'data-key': 'stop-now', disabled: this.isSending }), button('Let it go on', () => this.ask(false), { 'data-key': 'stop-not' })))];
  }

  ask(asks) {
    Object.assign(this, { asks, wrong: '' });
    this.update();
    this.acts.querySelector(asks ? '[data-key=stop-not]' : '[data-key=stop]')?.focus();
  }

  /** Take the question back. Returns whether there was one. */
  drop() {
    const { asks } = this;
    if (asks) this.ask(false);
    return asks;
  }

  async do(act) {
    Object.assign(this, { isSending: true, wrong: '' });
    this.update();
    const wrong = await act();
    Object.assign(this, { isSending: false, wrong, asks: this.asks && Boolean(wrong) });
    this.update();
    if (document.activeElement === document.body || document.activeElement?.tagName === 'DIALOG') (this.acts.querySelector('button') ?? this.title).focus();
  }
}

function describeHow() {
  return [el('ol', { class: 'nv-steps' }, ...HOW.map(([what, why]) => el('li', {}, el('strong', {}, what), ' ', why)))];
}

const notesOf = (events) => events.filter(({ event }) => event === 'note').slice(-NOTES).map(({ text }) => text);

export function createCurves() {
  return {
    loss: new Curves({ title: 'How wrong it is on what it learns from', lines: [{ key: 'loss', name: 'Loss' }], digits: 3, range: 'from zero' }),
    f1: new Curves({ title: 'How right it is on cases that only check', lines: [{ key: 'weighted_f1', name: 'F1 with class' }, { key: 'detection_f1', name: 'F1 of finding' }], digits: 3 }),
  };
}

/** of: the last step there will be, or null. */
export function showCurves({ loss, f1 }, events, of) {
  const progress = events.filter((event) => event.event === 'progress' && event.loss), evaluations = events.filter(({ event }) => event === 'evaluation');
  const most = of ?? progress.at(-1)?.of ?? 0;
  loss.show({ loss: progress.map((event) => [event.step, totalOf(event.loss)]).filter(([, value]) => Number.isFinite(value)) }, most);
  f1.show(Object.fromEntries(['weighted_f1', 'detection_f1'].map((key) => [key, evaluations.filter((event) => Number.isFinite(event[key])).map((event) => [event.step, event[key]])])), most);
}

const totalOf = (loss) => (typeof loss === 'number' ? loss : loss.total ?? Object.values(loss).reduce((sum, term) => sum + term, 0));
