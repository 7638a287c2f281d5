// Short messages at the bottom of the page. Screen readers announce them.

import { byId, make } from "./dom.js";

const SHOWN_MS = 7000;
const MOST = 3;

/** Shows a message. ``action`` is {words, key, run} of a button beside it, or null. */
export function toast(words, { action = null, isError = false } = {}) {
  const list = byId("toasts");
  if (action) removeActions(); // only the last decision can be undone next
  const message = make("div", { className: isError ? "toast error" : "toast" }, make("span", {}, words));
  if (action) {
    const button = make("button", { type: "button", className: "link-button" }, action.words);
    if (action.key) button.append(make("kbd", {}, action.key));
    button.addEventListener("click", () => {
      message.remove();
      action.run();
    });
    message.append(button);
  }
  list.append(message);
  while (list.children.length > MOST) list.firstElementChild.remove();
  const hide = () => message.remove();
  let timer = setTimeout(hide, isError ? 2 * SHOWN_MS : SHOWN_MS);
  message.addEventListener("pointerenter", () => clearTimeout(timer));
  message.addEventListener("pointerleave", () => (timer = setTimeout(hide, SHOWN_MS)));
}

/** Removes the messages with a button: what it would do is done, or no longer next. */
export function removeActions() {
  for (const button of byId("toasts").querySelectorAll("button")) button.parentElement.remove();
}

export const toastError = (error) => toast(error.message, { isError: true });
