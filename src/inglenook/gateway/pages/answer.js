/**
 * One answer, and what each frame from the box does to it. Rules only: no socket, no page, no clock.
 *
 * An answer is a plain object so that it can be stored and picked up again after a reload.
 *
 * @typedef {'answer' | 'thinking'} Channel
 * @typedef {'waiting' | 'queued' | 'running' | 'completed' | 'incomplete' | 'cancelled' | 'failed' | 'cut'} Status
 *
 * @typedef {Object} Answer
 * @property {string} key Names the request; the box makes only one response of it, however often it is sent.
 * @property {string | null} responseId Known from the first `queued` or `created`; null before.
 * @property {number} seq The last frame taken.
 * @property {string} answer What the model said.
 * @property {string} thinking What it thought before.
 * @property {{answer: number, thinking: number}} points Length of both in code points, as the box counts.
 * @property {Status} status
 * @property {boolean} sent The request has been handed to a connection at least once.
 * @property {boolean} stopping The reader pressed Stop.
 * @property {{position: number, etaS: number | null, reason: string} | null} queue
 * @property {number} trimmed How many of the oldest messages did not fit.
 * @property {string} problem Why it failed, one sentence.
 * @property {string | null} [finishReason] Why it ended by itself; the protocol's word.
 * @property {number | null} tokens
 * @property {number | null} tokensPerS
 *
 * @typedef {Object} Change What the page has to show.
 * @property {'text' | 'status' | 'rewound' | 'gap'} kind `gap`: text is missing and must be asked for again.
 * @property {Channel} [channel]
 * @property {string} [text]
 */
import { errorText } from './words.js';

/** @type {Status[]} */
export const STATUSES = ['waiting', 'queued', 'running', 'completed', 'incomplete', 'cancelled', 'failed', 'cut'];

/** @returns {Answer} */
export function newAnswer() {
  return {
    key: randomKey(),
    responseId: null,
    seq: 0,
    answer: '',
    thinking: '',
    points: { answer: 0, thinking: 0 },
    status: 'waiting',
    sent: false,
    stopping: false,
    queue: null,
    trimmed: 0,
    problem: '',
    tokens: null,
    tokensPerS: null,
  };
}

/** Whether nothing more will come. @param {Answer} answer */
export function ended(answer) {
  return !['waiting', 'queued', 'running'].includes(answer.status);
}

/** Whether a frame is about this answer. @param {Answer} answer @param {any} frame */
export function concerns(answer, frame) {
  return answer.responseId === null ? frame.id === answer.key : frame.response_id === answer.responseId;
}

/**
 * Take one frame that concerns this answer.
 * @param {Answer} answer
 * @param {any} frame
 * @returns {Change | null} Null when nothing changed.
 */
export function take(answer, frame) {
  if (ended(answer)) return null;
  if (frame.response_id) answer.responseId = frame.response_id;
  switch (frame.type) {
    case 'response.queued':
      answer.queue = { position: frame.position, etaS: frame.eta_s ?? null, reason: frame.reason };
      answer.status = 'queued';
      return { kind: 'status' };
    case 'response.created':
      answer.trimmed = frame.trimmed_messages ?? 0;
      answer.status = 'running';
      return { kind: 'status' };
    case 'response.delta':
      return takeDelta(answer, frame);
    case 'response.tool_calls': // this page offers no tools; the frame still counts
      answer.seq = Math.max(answer.seq, frame.seq);
      return null;
    case 'response.rewound':
      return rewind(answer, frame);
    case 'response.done':
      return finish(answer, frame);
    case 'resume_gone':
      return end(answer, 'cut');
    default:
      return null;
  }
}

/** End an answer from this side. @param {Answer} answer @param {Status} status @returns {Change} */
export function end(answer, status, problem = '') {
  answer.status = status;
  answer.problem = problem;
  answer.queue = null;
  return { kind: 'status' };
}

/** Forget all text, so that the box can be asked for it from the start. @param {Answer} answer */
export function forgetText(answer) {
  answer.seq = 0;
  answer.answer = answer.thinking = '';
  answer.points = { answer: 0, thinking: 0 };
}

/** @param {Answer} answer @param {any} frame @returns {Change | null} */
function takeDelta(answer, frame) {
  if (frame.seq <= answer.seq) return null;
  /** @type {Channel} */
  const channel = frame.channel === 'thinking' ? 'thinking' : 'answer';
  const have = answer.points[channel];
  if (frame.offset > have) return { kind: 'gap' };
  // A frame merged after a reconnection may begin with text that is already here.
  const text = frame.offset < have ? dropPoints(frame.text, have - frame.offset) : frame.text;
  answer.seq = frame.seq;
  answer.status = 'running';
  answer[channel] += text;
  answer.points[channel] += countPoints(text);
  return { kind: 'text', channel, text };
}

/** @param {Answer} answer @param {any} frame @returns {Change} */
function rewind(answer, frame) {
  answer.seq = frame.seq;
  for (const channel of /** @type {Channel[]} */ (['answer', 'thinking'])) {
    const keep = frame.offsets[channel] ?? 0;
    answer[channel] = Array.from(answer[channel]).slice(0, keep).join('');
    answer.points[channel] = Math.min(answer.points[channel], keep);
  }
  return { kind: 'rewound' };
}

/** @param {Answer} answer @param {any} frame @returns {Change} */
function finish(answer, frame) {
  answer.seq = frame.seq;
  answer.finishReason = frame.finish_reason ?? null;
  answer.tokens = frame.usage?.completion_tokens ?? null;
  answer.tokensPerS = frame.timings?.decode_tok_s ?? null;
  return end(answer, frame.status, frame.error ? errorText(frame.error) : '');
}

/** Length in code points; JavaScript counts half of an emoji as one. @param {string} text */
function countPoints(text) {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/** @param {string} text @param {number} count */
function dropPoints(text, count) {
  return Array.from(text).slice(count).join('');
}

/** 128 random bits; `crypto.randomUUID` does not exist on plain http. */
function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
