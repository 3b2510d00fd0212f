/**
 * Where the page begins: find out which box this is, then pair or chat.
 */
import { Chat } from './chat.js';
import { byId, isTouch } from './page.js';
import { guessDevice, pair, Refused, takeSecret, tidyCode } from './pairing.js';
import { inline } from './prose.js';
import { Store } from './store.js';

const LOOK_AGAIN_MS = 2_000;
const CODE_LENGTH = 'ABCD-EFGH'.length;

const codeField = /** @type {HTMLInputElement} */ (byId('code'));
const nameField = /** @type {HTMLInputElement} */ (byId('device-name'));
const pairButton = /** @type {HTMLButtonElement} */ (byId('pair'));

/** From the QR code, until it has been handed in. */
let secret = takeSecret();

/** @param {'opening' | 'pairing' | 'chat'} name */
function showScreen(name) {
  for (const id of ['opening', 'pairing', 'chat']) byId(id).hidden = id !== name;
}

/** Ask which box this is, as often as it takes. @returns {Promise<{server_id: string, name: string}>} */
async function findBox() {
  for (;;) {
    try {
      const response = await fetch('/.well-known/inglenook', { cache: 'no-store' });
      if (response.ok) return await response.json();
    } catch {
      // Not reachable just now.
    }
    byId('opening-text').textContent = 'The box does not answer. Trying again…';
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
}

/** @param {string} sentence Empty hides it. */
function showPairingProblem(sentence) {
  byId('pairing-problem').replaceChildren(...inline(sentence));
  byId('pairing-problem').hidden = sentence === '';
}

/** Ask for a code, unless the QR code's secret is at hand: then one tap is enough. @param {string} problem */
function showPairing(problem) {
  byId('code-field').hidden = secret !== null;
  nameField.value ||= guessDevice().name;
  showPairingProblem(problem);
  showScreen('pairing');
  if (!isTouch) (secret === null ? codeField : nameField).focus();
}

/**
 * Put the dash in while a code is typed; keyboards that still compose the word are left alone.
 * @param {InputEvent} event
 */
function tidyWhileTyping(event) {
  const atEnd = codeField.selectionStart === codeField.value.length;
  if (!event.isComposing && atEnd && !event.inputType.startsWith('delete'))
    codeField.value = tidyCode(codeField.value);
}

/** @param {Store} store */
async function submitPairing(store) {
  const code = tidyCode(codeField.value);
  if (secret === null && code.length !== CODE_LENGTH) {
    showPairingProblem('The code has eight letters and digits.');
    codeField.focus();
    return false;
  }
  showPairingProblem('');
  pairButton.disabled = true;
  try {
    const deviceName = nameField.value.trim() || guessDevice().name;
    store.token = (await pair(secret === null ? { code } : { secret }, deviceName)).token;
    codeField.value = '';
    return true;
  } catch (error) {
    if (error instanceof Refused) secret = null; // it works once; from here on a code is needed
    showPairing(/** @type {Error} */ (error).message);
    return false;
  } finally {
    pairButton.disabled = false;
  }
}

/** On iOS the keyboard covers the page instead of shrinking it; follow what can be seen. */
function followKeyboard() {
  const view = window.visualViewport;
  view?.addEventListener('resize', () => {
    if (view.scale !== 1) return; // zoomed in: the page itself has not changed
    document.documentElement.style.setProperty('--view-height', `${view.height}px`);
    if (!byId('chat').hidden) scrollTo(0, 0); // undo the shift that made room for the field
  });
}

async function start() {
  followKeyboard();
  const found = await findBox();
  for (const element of document.querySelectorAll('.box-name')) element.textContent = found.name;
  document.title = `${found.name} · Inglenook`;
  const store = new Store(found.server_id);

  const chat = new Chat(store);

  const openChat = () => {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const token = /** @type {string} */ (store.token);
    showScreen('chat');
    chat.open({ url: `${scheme}://${location.host}/ws`, serverId: found.server_id, token }, (reason) => {
      store.token = null;
      showPairing(reason);
    });
  };
  byId('pairing-form').addEventListener('submit', async (event) => {
    event.preventDefault();
    if (await submitPairing(store)) openChat();
  });
  codeField.addEventListener('input', (event) => tidyWhileTyping(/** @type {InputEvent} */ (event)));
  // A QR code scanned while the page is open changes the address without loading the page again.
  addEventListener('hashchange', () => {
    secret = takeSecret() ?? secret;
    if (store.token === null) showPairing('');
  });
  store.watch(() => {
    if (!byId('pairing').hidden && store.token !== null)
      openChat(); // paired in another tab
    else chat.markStale();
  });

  if (store.token === null) showPairing('');
  else openChat();
}

start();
