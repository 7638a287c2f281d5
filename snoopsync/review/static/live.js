// Asks the server every few seconds whether something has changed.

import { get } from "./api.js";
import { decisions } from "./decide.js";
import { byId } from "./dom.js";

const EVERY_MS = 2500;
const MOST_MS = 30_000;

/**
 * Calls ``onChange`` after each change of the state, while the page is visible. The page asks every
 * few seconds, and after each decision.
 */
export function watchChanges(onChange) {
  let version = null;
  let wait = EVERY_MS;
  let timer = null;

  async function check() {
    clearTimeout(timer);
    try {
      const answer = await get("/api/changes", { since: version });
      showMarked(answer.marked);
      document.body.classList.remove("offline");
      if (version !== null && answer.changed) await onChange();
      // Only now: if the page could not show the change, the next check reports it again.
      version = answer.version;
      wait = EVERY_MS;
    } catch {
      document.body.classList.add("offline");
      wait = Math.min(MOST_MS, 2 * wait);
    }
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(check, wait);
  }
  decisions.addEventListener("done", check);
  document.addEventListener("visibilitychange", () => !document.hidden && check());
  check();
}

function showMarked(number) {
  const badge = byId("marked-count");
  badge.hidden = !number;
  badge.textContent = number ? String(number) : "";
}
