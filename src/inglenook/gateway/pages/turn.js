/**
 * One question and its answer on the page.
 *
 * @typedef {import('./store.js').Turn} Turn
 * @typedef {import('./answer.js').Change} Change
 */
import { ended } from './answer.js';
import { inline, Prose } from './prose.js';
import { figuresText, noteText, waitingText } from './words.js';

const COPIED_MS = 2_000;

export class TurnView {
  /** The element to put on the page. */
  element;
  #turn;
  #prose;
  #thoughts;
  #online = true;

  /** @param {Turn} turn @param {() => void} retry */
  constructor(turn, retry) {
    this.#turn = turn;
    const template = /** @type {HTMLTemplateElement} */ (document.getElementById('turn'));
    const copied = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
    this.element = /** @type {HTMLElement} */ (copied.firstElementChild);
    this.#part('.question').textContent = turn.question;
    this.#part('.copy').addEventListener('click', (event) => {
      const button = /** @type {HTMLElement} */ (event.currentTarget);
      button.textContent = copy(turn.answer.answer) ? 'Copied' : 'Could not copy';
      setTimeout(() => (button.textContent = 'Copy'), COPIED_MS);
    });
    this.#part('.retry').addEventListener('click', retry);
    this.#prose = new Prose(this.#part('.prose'));
    this.#thoughts = document.createTextNode('');
    this.#part('.thoughts').append(this.#thoughts);
    this.show({ kind: 'rewound' });
  }

  /** Bring the page up to date after one change of the answer. @param {Change} change */
  show(change) {
    if (change.kind === 'text') this.#push(change.channel, change.text ?? '');
    if (change.kind === 'rewound') this.#startOver();
    if (change.kind !== 'text' && ended(this.#turn.answer)) this.#prose.finish();
    this.#showStatus();
  }

  /** Say whether the box can be heard, since a silent answer needs a reason. @param {boolean} online */
  setOnline(online) {
    this.#online = online;
    this.#showStatus();
  }

  #startOver() {
    this.#prose = new Prose(this.#part('.prose'));
    this.#prose.push(this.#turn.answer.answer);
    this.#thoughts.data = this.#turn.answer.thinking;
  }

  /** @param {string | undefined} channel @param {string} text */
  #push(channel, text) {
    if (channel === 'thinking') this.#thoughts.appendData(text);
    else this.#prose.push(text);
  }

  #showStatus() {
    const answer = this.#turn.answer;
    const over = ended(answer);
    this.#part('.thinking').hidden = answer.thinking === '';
    const pondering = !over && answer.answer === '';
    this.element.classList.toggle('pondering', pondering);
    this.#part('.thinking-title').textContent = pondering ? 'Thinking…' : 'Thoughts';
    this.#part('.thinking-length').textContent = `${answer.points.thinking.toLocaleString()} characters`;

    const waiting = over ? null : waitingText(answer, this.#online);
    this.#part('.waiting').hidden = waiting === null;
    this.#part('.waiting-text').textContent = waiting;
    this.element.classList.toggle('flowing', !over && waiting === null);

    const note = noteText(answer);
    this.#part('.note').replaceChildren(...inline(note));
    this.#part('.note').hidden = note === '';
    this.#part('.note').classList.toggle('bad', answer.status === 'failed' || answer.status === 'cut');

    this.#part('.foot').hidden = !over;
    this.#part('.figures').textContent = figuresText(answer);
    this.#part('.copy').hidden = answer.answer === '';
    this.#part('.retry').hidden = !(answer.status === 'failed' || answer.status === 'cut');
  }

  /** @param {string} selector @returns {HTMLElement} */
  #part(selector) {
    return /** @type {HTMLElement} */ (this.element.querySelector(selector));
  }
}

/** The clipboard API needs https; this old way works everywhere. @param {string} text */
function copy(text) {
  const field = document.createElement('textarea');
  field.value = text;
  field.readOnly = true; // keeps the keyboard down
  field.className = 'unseen';
  document.body.append(field);
  field.select();
  const copied = document.execCommand('copy');
  field.remove();
  return copied;
}
