// The page about learning: a dialog over the viewer, which stays as it is underneath. It has an address of its own (?learning=1).

import { Address } from './address.js';
import { button, el, setText } from './element.js';
import { Gallery, describeChange } from './gallery.js';
import { ask, UNSURE } from './http.js';
import { describeVerdict } from './judgement.js';
import { LessonCard, createCurves, showCurves } from './lessoncard.js';
import { describeService, isOpen, outcome, outcomeOf } from './lessonwords.js';
import { Lineage } from './lineage.js';
import { bytes, when } from './numbers.js';
import { Poll } from './poll.js';

const RUNNING_MS = 1500, IDLE_MS = 8000, CLOSED_MS = 60_000, LOST_MS = 2500, MOST_LESSONS = 8;
const ADDRESS = 'learning';
const NEAR_UM = 45; // how much is seen around a nucleus of the gallery

export class Learning {
  /** host: the viewer's root. handlers: reader(), onReader(name), onService(in service), onPlace(image, x, y, reach in µm, words), palette(). */
  constructor(host, base, handlers) {
    Object.assign(this, { host, base, handlers, url: `${base}nucleus/api/training`, training: null, lessons: new Map(), chosen: null, isAll: false });
    this.lead = el('p', { class: 'nv-lead' });
    this.lost = el('p', { class: 'nv-lost', role: 'status' });
    this.say = el('div', { class: 'nv-learning-say', role: 'status' });
    this.title = el('h2', { tabindex: -1 }, 'Learning');
    this.card = new LessonCard({ onStart: () => this.post('start', {}), onCancel: (run) => this.post('cancel', { run }) });
    this.lineage = new Lineage({ reader: handlers.reader, onReader: handlers.onReader, onActivate: (sha256) => this.post('activate', { sha256 }), onRun: (id) => this.choose(id) });
    this.gallery = new Gallery(base, { palette: handlers.palette, onOpen: (change) => this.leaveFor(change) });
    this.verdict = el('div', {});
    this.curves = createCurves();
    this.charts = el('details', { class: 'nv-rule', ontoggle: () => Object.values(this.curves).forEach((curves) => curves.draw()) }, el('summary', {}, 'How it learned'), el('div', { class: 'nv-charts' }, ...Object.values(this.curves).map(({ node }) => node)));
    this.lessonTitle = el('h3', { tabindex: -1 });
    this.lesson = el('section', { class: 'nv-card nv-judged', 'aria-label': 'A lesson and what came of it', hidden: true }, this.lessonTitle, this.verdict, this.gallery.node, this.charts);
    this.list = el('ol', { class: 'nv-lessons' });
    this.past = el('section', { class: 'nv-card', 'aria-label': 'Lessons', hidden: true }, el('h3', {}, 'Lessons'), this.list);
    this.disk = el('p', { class: 'nv-hint nv-disk' });
    this.body = el('div', { class: 'nv-learning-body' }, this.lead, el('div', { class: 'nv-columns' }, el('div', {}, this.card.node, this.lesson), el('div', {}, this.lineage.node, this.past, this.disk)));
    this.node = el('dialog', { class: 'nv-page nv-learning', 'aria-label': 'Learning' }, el('div', { class: 'nv-page-head' }, this.title, this.lost, button('Close', () => this.close(), { title: 'Back to the image (Esc)' })), this.body, this.say);
    this.body.hidden = true;
    host.append(this.node);
    this.address = new Address(host, this.node, ADDRESS, /^1$/, () => this.show());
    this.poll = new Poll((isCurrent) => this.refresh(isCurrent), () => this.pause());
    this.listen();
    this.poll.start();
    if (this.address.value) this.show();
  }

  listen() {
    this.node.addEventListener('keydown', (event) => event.stopPropagation()); // the viewer's keys are not meant here
    this.node.addEventListener('cancel', (event) => { if (this.card.drop() || this.lineage.drop()) event.preventDefault(); }); // Escape takes a question back first
    document.addEventListener('click', (event) => {
      if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || !event.target.closest?.(`a[href="?${ADDRESS}=1"]`)) return; // a new tab may be wanted
      event.preventDefault();
      this.open();
    });
  }

  // Opening and closing

  open() {
    if (!this.node.open) this.address.open('1');
  }

  show() {
    if (this.node.open) return;
    this.node.showModal();
    delete this.node.dataset.connected; // until this is answered, what is shown may be old
    if (this.training) this.update(); // what is known already, at once
    this.title.focus({ preventScroll: true });
    this.poll.now();
  }

  close() {
    this.node.close();
  }

  /** To a nucleus of the gallery; Back leads here again. */
  leaveFor(change) {
    this.address.leave();
    this.handlers.onPlace(change.image, change.x, change.y, NEAR_UM, describeChange(change));
  }

  // Asking

  pause() {
    if (this.node.dataset.connected === 'no') return this.node.open ? LOST_MS : CLOSED_MS;
    return !this.node.open ? CLOSED_MS : this.training?.run ? RUNNING_MS : IDLE_MS;
  }

  async refresh(isCurrent) {
    try {
      const training = await ask(this.url);
      if (!isCurrent()) return;
      this.tellOutcome(training);
      this.training = training;
      this.handlers.onService(training.in_service);
      if (this.node.open) await this.fetchLessons();
      if (!isCurrent()) return;
      this.node.dataset.connected = 'yes';
      this.at = new Date();
      setText(this.lost, '');
    } catch (error) {
      if (!isCurrent()) return;
      this.node.dataset.connected = 'no';
      setText(this.lost, error.status ? error.message : `The server does not answer.${this.at ? ` You see how it was at ${this.at.toLocaleTimeString('en-GB')}.` : ''} This page tries again.`);
    }
    if (this.node.open && this.training) this.update();
  }

  /** The lesson that runs, always anew; the chosen one once, as nothing changes in it any more. */
  async fetchLessons() {
    const { run, runs } = this.training, ended = runs.filter((other) => !isOpen(other));
    if (!ended.some(({ id }) => id === this.chosen)) this.chosen = ended[0]?.id ?? null;
    const wanted = [run?.id, this.lessons.get(this.chosen)?.isEnded ? null : this.chosen].filter((id) => id !== null && id !== undefined);
    for (const id of new Set(wanted)) {
      try {
        const lesson = await ask(`${this.url}/runs/${id}`);
        this.lessons.set(id, { ...lesson, isEnded: !isOpen(lesson) });
      } catch (error) {
        if (!error.status) throw error; // else only this lesson cannot be shown
      }
    }
  }

  /** A lesson that ran has ended: show it, and say so to those who do not see it. */
  tellOutcome({ run, runs }) {
    const before = this.training?.run;
    if (!before || run?.id === before.id) return;
    const ended = runs.find(({ id }) => id === before.id);
    if (!ended || isOpen(ended)) return;
    this.chosen = ended.id;
    this.say.textContent = `Lesson ${ended.id} ended: ${outcome(ended.state).slice(2)}.`;
  }

  async post(what, body) {
    let wrong = '';
    try {
      await ask(`${this.url}/${what}`, { method: 'POST', body: { reader: this.handlers.reader(), ...body } });
    } catch (error) {
      wrong = error.status ? error.message : UNSURE;
    }
    await this.poll.now();
    return wrong;
  }

  // Showing

  choose(id) {
    this.chosen = id;
    this.update();
    this.poll.now().then(() => {
      this.lessonTitle.scrollIntoView({ block: 'nearest' });
      this.lessonTitle.focus({ preventScroll: true });
    });
  }

  update() {
    const { training } = this, { run, in_service: service, versions, disk_bytes: disk } = training;
    Object.assign(this.node.dataset, { state: run?.state ?? 'idle', service: service?.name ?? '' });
    this.body.hidden = false;
    setText(this.lead, service ? describeService(service) : '');
    this.card.show(training, (run && this.lessons.get(run.id)?.events) ?? []);
    this.lineage.show(versions, training.activations);
    this.showLesson();
    this.showList();
    setText(this.disk, Number.isFinite(disk) ? `Versions of the network and their working files take ${bytes(disk)} on the disk.` : '');
  }

  showLesson() {
    const lesson = this.lessons.get(this.chosen);
    this.lesson.hidden = !lesson?.isEnded;
    if (this.lesson.hidden) return;
    this.gallery.show(lesson.id, lesson.verdict?.gallery ?? []);
    if (this.shownLesson === lesson) return;
    this.shownLesson = lesson;
    const { id, finished, events } = lesson;
    this.lessonTitle.textContent = `Lesson ${id}${finished ? `, ${when(finished)}` : ''}`;
    this.verdict.replaceChildren(...describeVerdict(lesson.verdict, lesson));
    this.charts.hidden = !events.some(({ event }) => event === 'progress' || event === 'evaluation');
    showCurves(this.curves, events, null);
  }

  showList() {
    const runs = this.training.runs.filter((run) => !isOpen(run)), known = JSON.stringify([runs, this.chosen, this.isAll]);
    if (known === this.listed) return;
    this.listed = known;
    this.past.hidden = !runs.length;
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.run : null;
    this.list.replaceChildren(...(this.isAll ? runs : runs.slice(0, MOST_LESSONS)).map((run) => this.line(run)));
    if (!this.isAll && runs.length > MOST_LESSONS) this.list.append(el('li', {}, button(`${runs.length - MOST_LESSONS} earlier`, () => { this.isAll = true; this.showList(); })));
    if (focused) this.list.querySelector(`[data-run="${CSS.escape(focused)}"]`)?.focus();
  }

  line({ id, state, sentence, started, finished }) {
    const [mark, word] = outcomeOf(state), at = finished ?? started;
    return el('li', {}, el('button', { type: 'button', 'data-run': id, 'aria-current': id === this.chosen ? 'true' : null, title: sentence || null, onclick: () => this.choose(id) },
      el('span', { class: `nv-mark nv-mark-${state}`, 'aria-hidden': 'true' }, mark), el('span', { class: 'nv-label' }, `Lesson ${id}: ${word}`), el('span', { class: 'nv-short', title: at ? when(at) : null }, at ? when(at).slice(0, 10) : '')));
  }
}
