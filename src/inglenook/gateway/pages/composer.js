/**
 * Where a question is typed: a field that grows, and one button that is Send or Stop.
 *
 * @typedef {Object} Acts
 * @property {(question: string) => void} ask
 * @property {() => void} stop
 * @property {(text: string) => void} typed Called at every change.
 */
import { byId, isTouch } from './page.js';

const DOUBLE_TAP_MS = 400; // Stop and Send take each other's place: the second half of a double tap must hit neither

export class Composer {
  #field = /** @type {HTMLTextAreaElement} */ (byId('question'));
  #send = /** @type {HTMLButtonElement} */ (byId('send'));
  #stop = /** @type {HTMLButtonElement} */ (byId('stop'));
  #acts;

  /** @param {Acts} acts */
  constructor(acts) {
    this.#acts = acts;
    byId('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#ask();
    });
    this.#field.addEventListener('keydown', (event) => {
      // A phone's Enter key makes a new line; there the button sends.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing || isTouch) return;
      event.preventDefault();
      this.#ask();
    });
    this.#field.addEventListener('input', () => {
      this.#grow();
      acts.typed(this.#field.value);
    });
    this.#stop.addEventListener('click', acts.stop);
  }

  get draft() {
    return this.#field.value.trim();
  }

  set draft(text) {
    this.#field.value = text;
    this.#grow();
  }

  /** Ready for typing; on a phone the keyboard stays down until it is asked for. */
  focus() {
    if (!isTouch) this.#field.focus();
  }

  /** @param {boolean} answering Whether the button stops or sends. */
  show(answering) {
    if (this.#send.hidden === answering) return;
    const [before, after] = answering ? [this.#send, this.#stop] : [this.#stop, this.#send];
    const hadFocus = document.activeElement === before;
    before.hidden = true;
    after.hidden = false;
    after.disabled = true;
    setTimeout(() => {
      after.disabled = false;
      if (hadFocus) after.focus();
    }, DOUBLE_TAP_MS);
  }

  #ask() {
    if (this.#send.hidden || this.draft === '') return;
    const question = this.draft;
    this.draft = '';
    if (isTouch) this.#field.blur(); // the keyboard would cover the answer
    this.#acts.ask(question);
  }

  /** Be as tall as the text, up to what the style allows. */
  #grow() {
    this.#field.style.height = 'auto';
    const borders = this.#field.offsetHeight - this.#field.clientHeight;
    this.#field.style.height = `${this.#field.scrollHeight + borders}px`;
  }
}
