/**
 * The line to the box: one WebSocket that is always being kept alive, and the one answer followed over it.
 *
 * Phones lose Wi-Fi, lock their screens and often never say that a socket died. So this side pings, gives up
 * on silence, reconnects with backoff, and then either resumes the answer after the last frame it took or,
 * if it never learned the answer's id, sends the same request with the same key again. No page here.
 *
 * @typedef {import('./answer.js').Answer} Answer
 * @typedef {import('./answer.js').Change} Change
 * @typedef {'connecting' | 'open' | 'waiting' | 'closed'} LinkStatus
 *
 * @typedef {Object} Box
 * @property {string} url Of the WebSocket.
 * @property {string} serverId The token is shown to no box that says another id; on the plain port nothing proves it.
 * @property {string} token
 *
 * @typedef {Object} Events
 * @property {(status: LinkStatus) => void} link
 * @property {(state: any) => void} state The box's own state, latest value.
 * @property {(answer: Answer, change: Change) => void} answer
 * @property {(reason: string) => void} unpaired The token is no longer good; the line is closed for ever.
 * @property {(sentence: string) => void} problem Something a person should read.
 */
import { concerns, end, ended, forgetText, take } from './answer.js';
import { errorText } from './words.js';

const PROTOCOL = 'inglenook.v1';
const CLIENT = { name: 'inglenook-page', version: '1' };
const CONNECT_MS = 10_000; // from the first packet to `auth_ok`
const PING_EVERY_MS = 20_000;
const PATIENCE_MS = 10_000; // without any frame after a ping
const PROBE_MS = 3_000; // the same, when there is reason to doubt the socket
const BACKOFF_FIRST_MS = 500;
const BACKOFF_LAST_MS = 15_000;
const AHEAD_BYTES_MAX = 200 * 1024; // a frame that the box will not take would cost the connection
const STEADY_MS = 5_000; // a connection that lasted this long starts the backoff anew

const AHEAD = 'ahead-'; // begins the ids of what is only prepared
const UNPAIRED = 4401;
/** Close codes that sending the same again would only repeat. */
const REFUSALS = new Map([
  [4400, 'The box could not read what this page sent. Reload the page, then try again.'],
  [
    4403,
    'The box does not accept connections from this address. Open the page at the address the box shows.',
  ],
  [4409, 'The box was already busy with this question. Try again.'],
  [4413, 'That is too long to send. Shorten the question or start a new chat.'],
]);

export class Wire {
  /** @type {WebSocket | null} */ #socket = null;
  /** @type {Answer | null} */ #answer = null;
  /** @type {() => Object} */ #request = () => ({});
  /** @type {LinkStatus} */ #status = 'closed';
  #failures = 0;
  #openedAt = 0;
  #prepares = 0;
  #retryTimer = 0;
  #pingTimer = 0;
  #deadline = 0;
  #box;
  #events;

  /** @param {Box} box @param {Events} events */
  constructor(box, events) {
    this.#box = box;
    this.#events = events;
  }

  open() {
    this.#connect();
  }

  close() {
    const socket = this.#letGo();
    clearTimeout(this.#retryTimer);
    this.#show('closed');
    socket?.close();
  }

  /** The phone woke up, or its network changed: trust nothing, find out now. */
  nudge() {
    if (this.#status === 'closed') return;
    if (this.#status === 'waiting') {
      this.#failures = 0;
      this.#connect();
      return;
    }
    if (this.#status === 'open') this.#send({ type: 'ping', t: Date.now() });
    this.#expectWithin(PROBE_MS);
  }

  /**
   * Follow an answer to its end: send its request, or pick it up where it was left.
   * @param {Answer} answer
   * @param {() => Object} request Makes the OpenAI chat body; called whenever it must be sent.
   */
  follow(answer, request) {
    this.#answer = answer;
    this.#request = request;
    if (this.#status === 'open') this.#pickUp();
  }

  /** Stop the followed answer, now or as soon as the box can be told. */
  stop() {
    const answer = this.#answer;
    if (!answer) return;
    answer.stopping = true;
    if (!answer.sent) this.#tell(end(answer, 'cancelled'));
    else this.#sendStop();
  }

  /** Stop caring about the followed answer; the box is told if it can hear. */
  abandon() {
    const answer = this.#answer;
    this.stop();
    this.#answer = null;
    if (answer && !ended(answer)) end(answer, 'cancelled');
  }

  /** This is probably coming; lost without harm, and nothing while an answer is followed. @param {Object} request */
  prepare(request) {
    if (this.#status !== 'open' || this.#answer) return;
    const message = { type: 'prepare', id: `${AHEAD}${(this.#prepares += 1)}`, request };
    if (new Blob([JSON.stringify(message)]).size <= AHEAD_BYTES_MAX) this.#send(message);
  }

  #connect() {
    clearTimeout(this.#retryTimer);
    this.#letGo()?.close();
    const socket = new WebSocket(this.#box.url, PROTOCOL);
    this.#socket = socket;
    socket.onmessage = (event) => {
      if (this.#socket === socket) this.#receive(JSON.parse(event.data));
    };
    socket.onclose = (event) => {
      if (this.#socket === socket) this.#lost(event.code);
    };
    this.#openedAt = 0;
    this.#expectWithin(CONNECT_MS);
    this.#show('connecting');
  }

  /** Give up the socket without waiting for it: closing a dead one can take minutes. */
  #letGo() {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#deadline);
    clearInterval(this.#pingTimer);
    return socket;
  }

  /** @param {number} patienceMs */
  #expectWithin(patienceMs) {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => {
      const socket = this.#letGo();
      this.#lost(1006);
      socket?.close();
    }, patienceMs);
  }

  /** @param {number} code */
  #lost(code) {
    this.#letGo();
    if (code === UNPAIRED) {
      this.#unpair('This device is no longer paired with the box.');
      return;
    }
    const refusal = REFUSALS.get(code);
    if (refusal) this.#refuse(refusal);
    const steady = this.#openedAt > 0 && performance.now() - this.#openedAt > STEADY_MS;
    this.#failures = steady ? 1 : this.#failures + 1;
    this.#retryTimer = setTimeout(() => this.#connect(), backoffMs(this.#failures));
    this.#show('waiting');
  }

  /** @param {string} sentence */
  #refuse(sentence) {
    if (this.#answer && this.#answer.responseId === null) this.#tell(end(this.#answer, 'failed', sentence));
    else this.#events.problem(sentence);
  }

  /** @param {string} reason */
  #unpair(reason) {
    this.close();
    this.#events.unpaired(reason);
  }

  /** @param {any} frame */
  #receive(frame) {
    if (this.#status === 'open') clearTimeout(this.#deadline); // any frame proves that the box is there
    switch (frame.type) {
      case 'auth_required':
        this.#authenticate(frame);
        break;
      case 'auth_ok':
        this.#ready(frame);
        break;
      case 'auth_invalid':
        this.#unpair(frame.message);
        break;
      case 'state':
        this.#events.state(frame.state);
        break;
      case 'prepared':
        break; // it shows when the question is asked
      case 'error':
        this.#receiveError(frame);
        break;
      default:
        this.#receiveAnswer(frame);
    }
  }

  /** @param {any} frame */
  #authenticate(frame) {
    if (frame.server_id !== this.#box.serverId) {
      this.close();
      this.#events.problem('Another box answers at this address now. Reload the page to talk to it.');
      return;
    }
    this.#send({ type: 'auth', token: this.#box.token, client: CLIENT });
  }

  /** @param {any} frame */
  #ready(frame) {
    clearTimeout(this.#deadline);
    this.#openedAt = performance.now();
    this.#pingTimer = setInterval(() => {
      this.#send({ type: 'ping', t: Date.now() });
      this.#expectWithin(PATIENCE_MS);
    }, PING_EVERY_MS);
    this.#show('open');
    if (frame.state) this.#events.state(frame.state);
    if (this.#answer) this.#pickUp();
  }

  #pickUp() {
    const answer = /** @type {Answer} */ (this.#answer);
    if (answer.responseId !== null) {
      this.#send({ type: 'resume', response_id: answer.responseId, after: answer.seq });
      if (answer.stopping) this.#sendStop();
      return;
    }
    answer.sent = true;
    this.#send({ type: 'generate', id: answer.key, idempotency_key: answer.key, request: this.#request() });
  }

  #sendStop() {
    const id = this.#answer?.responseId;
    if (id && this.#status === 'open') this.#send({ type: 'cancel', response_id: id });
  }

  /** @param {any} frame */
  #receiveAnswer(frame) {
    const answer = this.#answer;
    if (!answer || !concerns(answer, frame)) return;
    const wasUnknown = answer.responseId === null;
    const change = take(answer, frame);
    if (wasUnknown && answer.stopping) this.#sendStop();
    if (change?.kind === 'gap') {
      forgetText(answer);
      this.#tell({ kind: 'rewound' });
      this.#letGo()?.close();
      this.#lost(1006);
    } else if (change) {
      this.#tell(change);
    }
  }

  /** @param {any} frame */
  #receiveError(frame) {
    const answer = this.#answer;
    if (frame.id?.startsWith(AHEAD)) return; // the box is busy, or too old to know
    if (answer && frame.id === answer.key) {
      this.#tell(end(answer, 'failed', errorText(frame)));
    } else if (frame.code === 'unknown_response') {
      if (answer) this.#tell(end(answer, 'cut')); // otherwise a Stop crossed the end of the answer
    } else {
      this.#events.problem(errorText(frame));
    }
  }

  /** @param {Change} change */
  #tell(change) {
    const answer = /** @type {Answer} */ (this.#answer);
    if (ended(answer)) this.#answer = null;
    this.#events.answer(answer, change);
  }

  /** @param {Object} message */
  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** @param {LinkStatus} status */
  #show(status) {
    this.#status = status;
    this.#events.link(status);
  }
}

/**
 * Doubling from half a second to fifteen, less up to a half at random so that a household does not return as one.
 * @param {number} failures In a row, this one included.
 */
function backoffMs(failures) {
  const full = Math.min(BACKOFF_LAST_MS, BACKOFF_FIRST_MS * 2 ** (failures - 1));
  return full * (0.5 + Math.random() / 2);
}
