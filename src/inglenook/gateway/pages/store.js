/**
 * What this browser remembers of one box: its token, the chat, and the question half typed.
 *
 * Where storage is switched off (some private windows) everything works until the page is closed.
 *
 * @typedef {import('./answer.js').Answer} Answer
 * @typedef {{question: string, answer: Answer}} Turn
 */

/** Well under the 256 KiB that one frame may carry, since every question sends the whole chat. */
const CHAT_LIMIT_BYTES = 200 * 1024;

export class Store {
  #prefix;

  /** @param {string} serverId Keeps boxes apart that share an address one after the other. */
  constructor(serverId) {
    this.#prefix = `inglenook.${serverId}.`;
  }

  get token() {
    return this.#read('token');
  }

  set token(token) {
    this.#write('token', token);
  }

  get draft() {
    return this.#read('draft') ?? '';
  }

  set draft(draft) {
    this.#write('draft', draft || null);
  }

  /** @returns {Turn[]} */
  get turns() {
    const text = this.#read('chat');
    return text === null ? [] : JSON.parse(text);
  }

  set turns(turns) {
    this.#write('chat', turns.length ? JSON.stringify(turns) : null);
  }

  /** Call `changed` when another tab of this browser changed the chat or the pairing. @param {() => void} changed */
  watch(changed) {
    addEventListener('storage', (event) => {
      if (event.key === `${this.#prefix}chat` || event.key === `${this.#prefix}token`) changed();
    });
  }

  /** @param {string} key @returns {string | null} */
  #read(key) {
    try {
      return localStorage.getItem(this.#prefix + key);
    } catch {
      return null;
    }
  }

  /** @param {string} key @param {string | null} value */
  #write(key, value) {
    try {
      if (value === null) localStorage.removeItem(this.#prefix + key);
      else localStorage.setItem(this.#prefix + key, value);
    } catch {
      // Full or forbidden: the page still holds everything in memory.
    }
  }
}

/** Forget the oldest turns until the chat fits; the newest always stays. @param {Turn[]} turns */
export function trim(turns) {
  const encoder = new TextEncoder();
  const sizes = turns.map((turn) => encoder.encode(JSON.stringify(turn)).length);
  let total = sizes.reduce((sum, size) => sum + size, 0);
  while (turns.length > 1 && total > CHAT_LIMIT_BYTES) {
    turns.shift();
    total -= /** @type {number} */ (sizes.shift());
  }
}

/**
 * The chat as the box wants it. Turns without an answer are left out: models expect both sides to alternate.
 * @param {Turn[]} turns
 * @param {string} question Empty if it is not asked yet.
 */
export function messages(turns, question) {
  const said = turns.filter((turn) => turn.answer.answer !== '');
  return [
    ...said.flatMap((turn) => [
      { role: 'user', content: turn.question },
      { role: 'assistant', content: turn.answer.answer },
    ]),
    ...(question ? [{ role: 'user', content: question }] : []),
  ];
}
