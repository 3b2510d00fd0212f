/**
 * Shows an answer while it is being written.
 *
 * A block that is finished (a paragraph, a list, fenced code) becomes elements once and is never touched again;
 * the block being written is one text node that only grows. So a long answer costs what it is long, not its
 * square, and the text never jumps at the end. Everything a model writes ends up in text nodes; none of it is
 * ever parsed as HTML.
 */
const FENCE = /^\s*(```|~~~)/;
const ITEM = /^(\s*)([-*+•]|(\d{1,9})[.)])\s+(.*)$/;
const HEADING = /^#{1,6}\s+(.*?)\s*#*$/;
const INLINE = /(`[^`\n]+`|\*\*(?!\s)[^*\n]+\*\*)/;

export class Prose {
  #tail = document.createElement('p');
  #text = document.createTextNode('');

  /** @param {HTMLElement} host Emptied, and from now on ours. */
  constructor(host) {
    this.#tail.dir = 'auto';
    this.#tail.append(this.#text);
    host.replaceChildren(this.#tail);
  }

  /** @param {string} text */
  push(text) {
    this.#text.appendData(text);
    if (text.includes('\n')) this.#settle(finishedLength(this.#text.data));
  }

  /** No more is coming. */
  finish() {
    this.#settle(this.#text.length);
    this.#tail.remove();
  }

  /** @param {number} length Of the text that will not change any more. */
  #settle(length) {
    if (length === 0) return;
    this.#tail.before(...blocks(this.#text.data.slice(0, length)));
    this.#text.deleteData(0, length);
  }
}

/**
 * How much of a text is whole blocks: up to the last blank line or closing fence outside code.
 * @param {string} text
 */
function finishedLength(text) {
  let finished = 0;
  let position = 0;
  let fenced = false;
  for (const line of text.split('\n').slice(0, -1)) {
    position += line.length + 1;
    const isFence = FENCE.test(line);
    if (isFence) fenced = !fenced;
    if (!fenced && (isFence || line.trim() === '')) finished = position;
  }
  return finished;
}

/** @param {string} text @returns {HTMLElement[]} */
function blocks(text) {
  /** @type {HTMLElement[]} */
  const made = [];
  const lines = text.split('\n');
  while (lines.length) {
    const line = /** @type {string} */ (lines.shift());
    if (line.trim() === '') continue;
    if (FENCE.test(line)) made.push(code(takeWhile(lines, (next) => !FENCE.test(next), true)));
    else if (ITEM.test(line))
      made.push(list([line, ...takeWhile(lines, (next) => ITEM.test(next) || /^\s+\S/.test(next))]));
    else if (HEADING.test(line)) made.push(withText('h4', line.replace(HEADING, '$1')));
    else made.push(withText('p', [line, ...takeWhile(lines, isPlain)].join('\n')));
  }
  return made;
}

/** @param {string} line */
function isPlain(line) {
  return line.trim() !== '' && !FENCE.test(line) && !ITEM.test(line) && !HEADING.test(line);
}

/** @param {string[]} lines @param {(line: string) => boolean} wanted */
function takeWhile(lines, wanted, alsoNext = false) {
  let count = 0;
  while (count < lines.length && wanted(lines[count])) count += 1;
  const taken = lines.splice(0, count);
  if (alsoNext) lines.shift();
  return taken;
}

/** @param {string[]} lines */
function code(lines) {
  const pre = document.createElement('pre');
  pre.tabIndex = 0; // so that a keyboard can scroll it
  const inner = document.createElement('code');
  inner.textContent = lines.join('\n');
  pre.append(inner);
  return pre;
}

/** One level; deeper items are indented. Numbers stay as the model wrote them. @param {string[]} lines */
function list(lines) {
  const first = /** @type {RegExpMatchArray} */ (lines[0].match(ITEM));
  const host = document.createElement(first[3] ? 'ol' : 'ul');
  for (const line of lines) {
    const match = line.match(ITEM);
    if (!match) {
      host.lastElementChild?.append('\n', ...inline(line.trim()));
      continue;
    }
    const item = /** @type {HTMLLIElement} */ (withText('li', match[4]));
    if (match[1].length > first[1].length) item.className = 'deeper';
    if (match[3]) item.value = Number(match[3]);
    else if (host.tagName === 'OL') item.classList.add('bullet');
    host.append(item);
  }
  return host;
}

/** @param {string} tag @param {string} text */
function withText(tag, text) {
  const element = document.createElement(tag);
  element.dir = 'auto';
  element.append(...inline(text));
  return element;
}

/** Text with its `code` and **bold** parts as elements. @param {string} text @returns {(string | HTMLElement)[]} */
export function inline(text) {
  return text.split(INLINE).map((part, index) => {
    if (index % 2 === 0) return part;
    const mark = part.startsWith('`') ? 1 : 2;
    const element = document.createElement(mark === 1 ? 'code' : 'strong');
    element.textContent = part.slice(mark, -mark);
    return element;
  });
}
