/**
 * What this browser remembers of one box: its token, the chat, and the question half typed.
 *
 * Where storage is switched off (some private windows) everything works until the page is closed.
 *
 * @typedef {import('./answer.js').Answer} Answer
 * @typedef {{question: string, answer: Answer}} Turn
 */

import { newAnswer, STATUSES } from './answer.js';

/** Of the stored chat; version 1 was the list of turns alone, as `chat`. A page of that version that is still open writes there. */
const VERSION = 2;
const CHAT = `chat-${VERSION}`;

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

  /** The whole turns of the stored chat; of a damaged one the text is kept as `chat.damaged`. @returns {Turn[]} */
  get turns() {
    const text = this.#read(CHAT) ?? this.#read('chat');
    if (text === null) return [];
    const { turns, damaged } = readChat(text);
    if (damaged) {
      console.warn(`The stored chat is damaged; it is kept as ${this.#prefix}chat.damaged.`);
      this.#write('chat.damaged', text);
    }
    return turns;
  }

  set turns(turns) {
    this.#write(CHAT, turns.length ? JSON.stringify({ version: VERSION, turns }) : null);
    this.#write('chat', null);
  }

  /** Call `changed` when another tab of this browser changed the chat or the pairing. @param {() => void} changed */
  watch(changed) {
    addEventListener('storage', (event) => {
      if (event.key === this.#prefix + CHAT || event.key === `${this.#prefix}token`) changed();
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

/**
 * Read a chat as this or an earlier version of the page has stored it.
 * @param {string} text
 * @returns {{turns: Turn[], damaged: boolean}}
 */
export function readChat(text) {
  let stored;
  try {
    stored = JSON.parse(text);
  } catch {
    return { turns: [], damaged: true };
  }
  const list = Array.isArray(stored) ? stored : stored?.version === VERSION ? stored.turns : null;
  if (!Array.isArray(list)) return { turns: [], damaged: true };
  const turns = list.map(readTurn).filter((turn) => turn !== null);
  return { turns, damaged: turns.length < list.length };
}

/** @param {any} stored @returns {Turn | null} Null if it is none. */
function readTurn(stored) {
  if (typeof stored?.question !== 'string') return null;
  const begun = newAnswer();
  /** @type {any} */
  const answer = { ...begun, ...stored.answer };
  for (const [name, value] of Object.entries(begun))
    if (value !== null && typeof answer[name] !== typeof value) return null;
  if (!STATUSES.includes(answer.status)) return null;
  if (typeof answer.points?.answer !== 'number' || typeof answer.points?.thinking !== 'number')
    answer.points = { answer: [...answer.answer].length, thinking: [...answer.thinking].length };
  return { question: stored.question, answer };
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
