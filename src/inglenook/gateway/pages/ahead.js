/**
 * When the box is told what is probably coming, so that it can read it before it is asked.
 */

const PAUSE_MS = 400; // in typing
const ENOUGH_CHARACTERS = 20; // new ones; fewer are read quickly enough once they are asked

export class Ahead {
  #tell;
  #told = '';
  #timer = 0;

  /** @param {(draft: string) => void} tell The chat is open, with so much of a question typed. */
  constructor(tell) {
    this.#tell = tell;
  }

  /** At a pause, or at the end of a word for those who never pause. @param {string} text As it stands in the field. */
  typed(text) {
    clearTimeout(this.#timer);
    const draft = text.trim();
    if (draft.length - sameLength(draft, this.#told) < ENOUGH_CHARACTERS) return;
    if (/\s$/.test(text)) this.now(draft);
    else this.#timer = setTimeout(() => this.now(draft), PAUSE_MS);
  }

  /** The chat was opened, or has a new answer to read. @param {string} draft */
  now(draft) {
    clearTimeout(this.#timer);
    this.#told = draft;
    this.#tell(draft);
  }

  /** The question is asked. */
  stop() {
    clearTimeout(this.#timer);
    this.#told = '';
  }
}

/** How long both texts are the same. @param {string} one @param {string} other */
function sameLength(one, other) {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length += 1;
  return length;
}
