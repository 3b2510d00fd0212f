/**
 * Pairing: a secret from the QR code's link, or a code typed by hand, for a token.
 */

/** The box said no; trying the same again will not help. */
export class Refused extends Error {}

/** Read the QR code's secret out of the address, and take it out of the address bar and history at once. */
export function takeSecret() {
  const secret = new URLSearchParams(location.hash.slice(1)).get('p');
  if (secret) history.replaceState(null, '', location.pathname + location.search);
  return secret;
}

/** The code as the box prints it, whatever case, dashes or look-alike letters were typed. @param {string} typed */
export function tidyCode(typed) {
  const letters = typed
    .toUpperCase()
    .replace(/O/g, '0')
    .replace(/[IL]/g, '1')
    .replace(/[^0-9A-HJKMNP-TV-Z]/g, '')
    .slice(0, 8);
  return letters.length > 4 ? `${letters.slice(0, 4)}-${letters.slice(4)}` : letters;
}

/**
 * Hand in a secret or a code.
 * @param {{secret: string} | {code: string}} proof
 * @param {string} deviceName
 * @returns {Promise<{token: string}>}
 * @throws {Error} With a sentence to show; a `LogindRefused` when the box said no.
 */
export async function pair(proof, deviceName) {
  const body = JSON.stringify({ ...proof, device_name: deviceName, platform: guessDevice().platform });
  let response;
  try {
    response = await fetch('/pair', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body,
    });
  } catch {
    throw new Error('The box did not answer. Check that this device is on the home Wi-Fi, then try again.');
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok)
    throw new Refused(answer.error?.message ?? `The box refused (status ${response.status}). Try again.`);
  return answer;
}

/** What to call this device until a person says otherwise. */
export function guessDevice() {
  const agent = navigator.userAgent;
  const found = [
    { name: 'iPhone', platform: 'ios', is: /iPhone/.test(agent) },
    // An iPad says that it is a Mac; no Mac has a touch screen.
    {
      name: 'iPad',
      platform: 'ios',
      is: /iPad/.test(agent) || (/Macintosh/.test(agent) && navigator.maxTouchPoints > 1),
    },
    { name: 'Android phone', platform: 'android', is: /Android.*Mobile/.test(agent) },
    { name: 'Android tablet', platform: 'android', is: /Android/.test(agent) },
    { name: 'Mac', platform: 'macos', is: /Macintosh/.test(agent) },
    { name: 'Windows computer', platform: 'windows', is: /Windows/.test(agent) },
    { name: 'Linux computer', platform: 'linux', is: /Linux/.test(agent) },
  ].find((device) => device.is);
  return found ?? { name: 'Browser', platform: 'other' };
}
