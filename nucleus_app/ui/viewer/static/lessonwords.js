// What the page about learning says, in a pathologist's words. A run of the trainer is a lesson here. No DOM in here.

import { number, plural, when } from './numbers.js';

const OPEN = ['queued', 'preparing', 'training', 'judging'];
/** The way of a lesson, in its order. */
export const STEPS = { queued: 'Waiting', preparing: 'Collecting', training: 'Learning', judging: 'Judging' };
/** state: [mark, word]. The mark says it without a colour. */
const OUTCOMES = {
  promoted: ['✓', 'taken into service'],
  rejected: ['✕', 'not taken'],
  undecided: ['?', 'not enough evidence'],
  nothing: ['–', 'nothing to learn'],
  failed: ['!', 'failed'],
  cancelled: ['–', 'stopped'],
};
const TRIGGERS = { fields: 'Began by itself, after enough fields were signed.', button: 'Asked for with the button.' };

export const isOpen = ({ state }) => OPEN.includes(state);
export const outcomeOf = (state) => OUTCOMES[state] ?? ['…', STEPS[state]?.toLowerCase() ?? state];
export const outcome = (state) => outcomeOf(state).join(' ');
export const triggerOf = ({ trigger }) => TRIGGERS[trigger] ?? '';

/** What is in service, since when, what it learned from. */
export function describeService({ name, since, sentence }) {
  return [`${name} ${since ? `has been in service since ${when(since)}` : 'is in service'}.`, sentence].filter(Boolean).join(' ');
}

/** Who put a version in service, and when; latest first, as the server lists it. */
export function describeActivation({ actor, reason, at }) {
  if (reason === 'refused') return `could not be opened, ${when(at)}`;
  return reason === 'promoted' ? `put in service by the judge, ${when(at)}` : `put in service by ${actor || 'someone'}, ${when(at)}`;
}

/** How far it is to the next lesson: { text, value, most } (most 0: it never begins by itself). */
export function describeNext({ after_fields: most, signed_fields: signed, hours }) {
  const only = hours ? ` It may begin between ${describeHours(hours)}.` : '';
  if (!most) return { text: 'Lessons begin only when someone asks for one.', value: 0, most: 0 };
  if (signed >= most) return { text: `${plural(signed, 'newly signed field')}: enough for the next lesson, which begins by itself.${only}`, value: most, most };
  return { text: `${number(signed)} of ${plural(most, 'newly signed field')} until the next lesson.${only}`, value: signed, most };
}

/** '20-6' → '20:00 and 6:00'. */
function describeHours(hours) {
  return String(hours).split('-').map((hour) => (/^\d+$/.test(hour.trim()) ? `${Number(hour)}:00` : hour.trim())).join(' and ');
}

/** Whether a trainer is there: [kind of notice, text]. */
export function describeTrainer({ state, run, trainer: { is_there: isThere, is_failing: isFailing } }) {
  if (state === 'off') return ['warning', 'This installation does not learn. Ask whoever runs it to switch that on.'];
  if (isFailing) return ['error', 'The trainer does not start. Its log has the reason; tell whoever runs this app.'];
  return isThere ? ['fine', 'The trainer is there.'] : ['warning', `No trainer is there. ${run ? 'This lesson goes on' : 'A lesson that is asked for begins'} when one is started.`];
}

/** Whether a lesson stands still because scoring comes first. */
export function isPaused(training, events) {
  return training.state === 'paused' || events.findLast(({ event }) => event === 'paused' || event === 'resumed')?.event === 'paused';
}

/** "Scored by base-3; lab-2 is in service…", or '' where an image was scored by what is in service, or not by a network. */
export function describeOutdated({ version, state, refused }, inService) {
  if (!version || !inService || state !== 'done' || refused || version.sha256 === inService.sha256 || version.name === 'QuPath import') return '';
  const [old, now] = version.name === inService.name ? [`another ${version.name} (${version.sha256.slice(0, 8)})`, `${inService.name} (${inService.sha256.slice(0, 8)})`] : [version.name, inService.name];
  return `Scored by ${old}; ${now} is in service. Score again to use it: your corrections are carried over. Check a new version on cases that you know before you rely on it.`;
}
