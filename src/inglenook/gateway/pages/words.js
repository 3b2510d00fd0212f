/**
 * What the page says to people about an answer and about the box. Rules only.
 *
 * @typedef {import('./answer.js').Answer} Answer
 */

/** Why a question waits, in words; the keys are the protocol's. */
const REASONS = new Map([
  ['busy', 'others are being answered first'],
  ['thermal', 'the box is cooling down'],
  ['memory', 'the box is making room'],
  ['loading', 'the model is waking up'],
]);

/** What the engine is at, in words; nothing to say when it is ready. */
const ENGINE = new Map([
  ['loading', 'warming up'],
  ['restarting', 'starting again'],
  ['missing', 'no model yet'],
  ['unloaded', 'making room, answers wait'],
  ['stopped', 'going away'],
]);

/** How deep the box sleeps, in words; nothing to say while it is awake. */
const SLEEP = new Map([
  ['unloaded', 'resting, wakes when you ask'],
  ['stopped', 'resting, wakes when you come back'],
  ['suspended', 'fast asleep, wakes when it is called'],
]);

/** How warm the box is, in words; nothing to say when it is cool. */
const LEVELS = new Map([
  ['warm', 'warm'],
  ['hot', 'hot, slower than usual'],
  ['critical', 'too hot, pausing'],
]);

/** What an unfinished answer waits for; null while text is flowing. @param {Answer} answer @param {boolean} online */
export function waitingText(answer, online) {
  if (!online) {
    return answer.sent
      ? 'Connection lost. The box keeps writing; the rest appears as soon as it can be reached.'
      : 'Not sent yet. It goes as soon as the box can be reached.';
  }
  if (answer.stopping) return 'Stopping…';
  if (answer.status === 'queued' && answer.queue) return queueText(answer.queue);
  if (answer.status === 'waiting') return 'Asking…';
  if (answer.answer === '' && answer.thinking === '') return 'Reading…';
  return null;
}

/** @param {{position: number, etaS: number | null, reason: string}} queue */
function queueText({ position, etaS, reason }) {
  const place = position > 1 ? `${position} in line` : 'Next in line';
  const time = etaS === null ? '' : `, about ${Math.max(1, Math.round(etaS))} s`;
  const why = REASONS.get(reason);
  return `${place}${time}${why ? `: ${why}` : ''}`;
}

/** @param {Answer} answer */
export function noteText(answer) {
  const ends = {
    incomplete:
      answer.finishReason === 'repetition'
        ? 'Stopped: the answer only repeated itself. Asking in other words often helps.'
        : 'Stopped at the length limit.',
    cancelled: 'Stopped.',
    failed: answer.problem || 'The box could not answer. Try again.',
    cut: 'The rest of this answer is lost: the box no longer has it.',
  };
  const trimmed = answer.trimmed > 0 ? 'This chat has grown long; the box read only its later part.' : '';
  const end = answer.status in ends ? ends[/** @type {keyof ends} */ (answer.status)] : '';
  return [end, trimmed].filter(Boolean).join(' ');
}

/** @param {Answer} answer */
export function figuresText({ tokens, tokensPerS }) {
  if (!tokens) return '';
  const speed = tokensPerS ? ` · ${tokensPerS.toFixed(1)} tok/s` : '';
  return `${tokens} ${tokens === 1 ? 'token' : 'tokens'}${speed}`;
}

/** @param {import('./wire.js').LinkStatus} link */
export function linkText(link) {
  return link === 'connecting' ? 'Connecting…' : 'Out of reach, retrying…';
}

/** The box in one line, the most important first: narrow screens cut it short. @param {any} state */
export function stateText(state) {
  const loaded = state?.loaded > 0 ? ` ${Math.round(state.loaded * 100)} %` : '';
  const doing = SLEEP.get(state?.sleep) ?? ENGINE.get(state?.engine) ?? LEVELS.get(state?.level) ?? 'ready';
  const line = state?.queued > 0 ? `${state.queued} in line` : '';
  const model = (state?.model ?? '').replace(/\.gguf$/i, '').replace(/[-._](I?Q\d\w*|BF16|F16|F32)$/i, '');
  return [doing + loaded, line, model].filter(Boolean).join(' · ');
}

/** For the colour of the light beside it. @param {any} state */
export function levelOf(state) {
  if (SLEEP.has(state?.sleep)) return 'cool';
  return ENGINE.has(state?.engine) ? 'warm' : (state?.level ?? 'cool');
}

/** An error's own sentence, and when to try again. @param {{message: string, retry_after_s?: number | null}} error */
export function errorText(error) {
  return error.retry_after_s
    ? `${error.message} Try again in about ${Math.ceil(error.retry_after_s)} s.`
    : error.message;
}

/** A turning point of an answer, for people who listen to the page; never every word. @param {Answer} answer */
export function announcement(answer) {
  const words = {
    queued: 'Waiting in line',
    running: 'Answering',
    completed: 'Answer finished',
    failed: 'The answer failed',
  };
  return words[/** @type {keyof words} */ (answer.status)] ?? 'Stopped';
}
