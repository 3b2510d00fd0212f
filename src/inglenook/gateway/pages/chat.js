/**
 * The chat screen: what is asked, what comes back, and how the box is doing.
 *
 * @typedef {import('./store.js').Turn} Turn
 * @typedef {import('./answer.js').Answer} Answer
 * @typedef {import('./answer.js').Change} Change
 * @typedef {import('./wire.js').LinkStatus} LinkStatus
 */
import { Ahead } from './ahead.js';
import { ended, newAnswer } from './answer.js';
import { Composer } from './composer.js';
import { byId, isTouch } from './page.js';
import { inline } from './prose.js';
import { messages, trim } from './store.js';
import { TurnView } from './turn.js';
import { Wire } from './wire.js';
import { announcement, levelOf, linkText, stateText } from './words.js';

const SAVE_EVERY_MS = 1_000; // while text flows; what is lost by a crash in between is asked for again
const CALM_MS = 1_000; // a line lost and found again within this time is nobody's worry
const NEAR_END_PX = 48;

export class Chat {
  #store;
  /** @type {Wire | null} */ #wire = null;
  /** @type {Turn[]} */ #turns = [];
  /** @type {Turn[]} */ #previous = [];
  /** @type {Map<Answer, TurnView>} */ #views = new Map();
  /** @type {LinkStatus} */ #link = 'connecting';
  /** @type {any} */ #state = null;
  #stale = false; // another tab wrote the chat
  #saveTimer = 0;
  #lossTimer = 0;
  #atEnd = true;

  #scroller = byId('scroller');
  #composer = new Composer({
    ask: (question) => this.#ask(question),
    stop: () => this.#stop(),
    typed: (text) => this.#typed(text),
  });
  #ahead = new Ahead((draft) => this.#prepare(draft));

  /** @param {import('./store.js').Store} store */
  constructor(store) {
    this.#store = store;
    this.#listen();
  }

  /** @param {import('./wire.js').Box} box @param {(reason: string) => void} unpaired */
  open(box, unpaired) {
    this.#wire = new Wire(box, {
      link: (status) => this.#linkChanged(status),
      state: (state) => this.#showState(state),
      answer: (answer, change) => this.#showAnswer(answer, change),
      problem: (sentence) => this.#showNotice(sentence),
      unpaired: (reason) => {
        this.#save();
        unpaired(reason);
      },
    });
    this.#link = 'connecting';
    this.#state = null;
    this.#composer.draft = this.#store.draft;
    byId('where').textContent = isTouch ? 'on this device' : 'in this browser';
    this.#load();
    this.#wire.open();
    this.#composer.focus();
  }

  /** Another tab changed the chat; it is read again before it matters. While answering, this tab knows best. */
  markStale() {
    this.#stale = this.#running() === null;
  }

  #listen() {
    byId('new-chat').addEventListener('click', () => this.#startAfresh());
    byId('bring-back').addEventListener('click', () => this.#bringBack());
    this.#scroller.addEventListener('scroll', () => this.#look(), { passive: true });

    // iOS stops a page seconds after it is hidden and often never says that its socket died.
    document.addEventListener('visibilitychange', () => (document.hidden ? this.#save() : this.#wakeUp()));
    addEventListener('pagehide', () => this.#save());
    addEventListener('pageshow', (event) => event.persisted && this.#wakeUp());
    addEventListener('online', () => this.#wire?.nudge());
    addEventListener('offline', () => this.#wire?.nudge());
    addEventListener('resize', () => this.#followEnd());
  }

  #wakeUp() {
    this.#refresh();
    this.#wire?.nudge();
  }

  // ---- asking and stopping

  /** @param {string} question */
  #ask(question) {
    this.#refresh();
    if (this.#running()) return;
    this.#ahead.stop();
    this.#showNotice('');
    this.#store.draft = '';
    const turn = { question, answer: newAnswer() };
    this.#turns.push(turn);
    trim(this.#turns);
    this.#addView(turn);
    this.#save();
    this.#follow(turn);
    this.#showScreen();
    this.#atEnd = true;
    this.#followEnd();
  }

  #retry() {
    const turn = this.#turns.pop();
    if (!turn) return;
    this.#views.get(turn.answer)?.element.remove();
    this.#ask(turn.question);
  }

  #stop() {
    this.#wire?.stop();
    const turn = this.#running();
    if (turn) this.#views.get(turn.answer)?.show({ kind: 'status' });
  }

  /** @param {Turn} turn */
  #follow(turn) {
    const before = this.#turns.slice(0, this.#turns.indexOf(turn));
    this.#wire?.follow(turn.answer, () => ({ messages: messages(before, turn.question) }));
  }

  #startAfresh() {
    this.#wire?.abandon();
    this.#previous = this.#turns;
    this.#turns = [];
    this.#save();
    this.#render();
    this.#ahead.now(this.#composer.draft);
    this.#composer.focus();
  }

  #bringBack() {
    this.#turns = this.#previous;
    this.#previous = [];
    this.#save();
    this.#render();
    this.#ahead.now(this.#composer.draft);
  }

  /** Let the box read the chat and so much of a question ahead of time. @param {string} draft */
  #prepare(draft) {
    if (this.#running()) return;
    const said = messages(this.#turns, draft);
    if (said.length > 0) this.#wire?.prepare({ messages: said });
  }

  #running() {
    const last = this.#turns[this.#turns.length - 1];
    return last && !ended(last.answer) ? last : null;
  }

  // ---- what is remembered

  #load() {
    this.#stale = false;
    this.#turns = this.#store.turns;
    this.#render();
    const running = this.#running();
    if (running) this.#follow(running);
  }

  #refresh() {
    if (this.#stale && !this.#running()) this.#load();
  }

  #save() {
    clearTimeout(this.#saveTimer);
    this.#saveTimer = 0;
    if (!this.#stale) this.#store.turns = this.#turns;
  }

  #saveSoon() {
    if (this.#saveTimer === 0) this.#saveTimer = setTimeout(() => this.#save(), SAVE_EVERY_MS);
  }

  /** @param {string} text */
  #typed(text) {
    this.#store.draft = text.trim();
    this.#ahead.typed(text);
    this.#followEnd();
  }

  // ---- what is shown

  #render() {
    this.#views.clear();
    byId('turns').replaceChildren();
    for (const turn of this.#turns) this.#addView(turn);
    this.#showScreen();
    this.#atEnd = true;
    this.#followEnd();
  }

  /** @param {Turn} turn */
  #addView(turn) {
    const view = new TurnView(turn, () => this.#retry());
    view.setOnline(this.#link !== 'waiting');
    this.#views.set(turn.answer, view);
    byId('turns').append(view.element);
  }

  /** @param {Answer} answer @param {Change} change */
  #showAnswer(answer, change) {
    this.#look();
    this.#views.get(answer)?.show(change);
    if (change.kind === 'text') {
      this.#saveSoon();
    } else {
      this.#save();
      this.#showScreen();
      this.#announce(announcement(answer));
      if (ended(answer)) this.#ahead.now(this.#composer.draft);
    }
    this.#followEnd();
  }

  #showScreen() {
    this.#composer.show(this.#running() !== null);
    byId('empty').hidden = this.#turns.length > 0;
    byId('bring-back').hidden = this.#previous.length === 0;
    byId('new-chat').hidden = this.#turns.length === 0;
  }

  /** Told by the wire at every turn; shown when it lasts. @param {LinkStatus} link */
  #linkChanged(link) {
    if (link !== 'open' && this.#link === 'open') {
      this.#lossTimer ||= setTimeout(() => this.#showLink('waiting'), CALM_MS);
    } else if (link === 'open' || this.#link === 'connecting') {
      clearTimeout(this.#lossTimer);
      this.#lossTimer = 0;
      this.#showLink(link);
    }
  }

  /** @param {LinkStatus} link */
  #showLink(link) {
    this.#link = link;
    this.#look();
    const running = this.#running();
    if (running) this.#views.get(running.answer)?.setOnline(link !== 'waiting');
    if (link === 'open') {
      this.#showNotice('');
      this.#ahead.now(this.#composer.draft);
    }
    this.#showStatus();
    this.#followEnd();
  }

  /** @param {any} state */
  #showState(state) {
    this.#state = state;
    this.#showStatus();
  }

  #showStatus() {
    const online = this.#link === 'open';
    byId('status').dataset.level = online ? levelOf(this.#state) : 'none';
    byId('status-text').textContent = online ? stateText(this.#state) : linkText(this.#link);
  }

  /** @param {string} text Spoken once by screen readers. */
  #announce(text) {
    if (byId('announce').textContent !== text) byId('announce').textContent = text;
  }

  /** @param {string} sentence Empty hides it. */
  #showNotice(sentence) {
    byId('notice').replaceChildren(...inline(sentence));
    byId('notice').hidden = sentence === '';
  }

  /** See whether the reader is at the end, before the page grows: a scroll event may come too late. */
  #look() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    this.#atEnd = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  }

  /** Stay with the newest text, but only for a reader who was there. */
  #followEnd() {
    if (this.#atEnd) this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }
}
