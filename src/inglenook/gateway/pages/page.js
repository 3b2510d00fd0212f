/** Two things every screen needs to know about the page. */

export const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** The main pointer is a finger: no keyboard appears by itself, and Enter makes a new line. */
export const isTouch = matchMedia('(pointer: coarse)').matches;
