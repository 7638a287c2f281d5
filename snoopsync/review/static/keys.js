// The keyboard: which key does what, and the dialog that lists the keys.

import { undo } from "./decide.js";
import { byId, make, takesKeys } from "./dom.js";

const NAMES = {
  " ": "space",
  ArrowRight: "→",
  ArrowLeft: "←",
  ArrowDown: "↓",
  ArrowUp: "↑",
  Escape: "Esc",
};

let tables = [];

/**
 * Registers tables of keys: {title, isActive, keys: [{keys, words, run}]}. The first active table
 * with a key wins. ``run`` gets the key; a key that is held down repeats only where ``repeats``.
 */
export function useKeys(...given) {
  tables = [...given, general];
}

const general = {
  title: "Everywhere",
  isActive: () => true,
  keys: [
    { keys: ["m"], words: "marked files", run: () => location.assign("/marked") },
    { keys: ["g"], words: "duplicates", run: () => location.assign("/") },
    { keys: ["u"], words: "undo the last decision", run: undo },
    { keys: ["?"], words: "show the keys", run: showKeys },
  ],
};

function findBinding(key) {
  for (const table of tables) {
    if (!table.isActive()) continue;
    const binding = table.keys.find((each) => each.keys.includes(key));
    if (binding) return binding;
  }
  return null;
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  if (takesKeys(event.target)) return;
  const key = event.shiftKey && event.key.startsWith("Arrow") ? `Shift+${event.key}` : event.key;
  const isOnControl = event.target.matches("button, a[href], summary, label, [type=checkbox]");
  if (isOnControl && (key === "Enter" || key === " ")) return;
  if (event.target.matches("[type=range]") && key.startsWith("Arrow")) return;
  const binding = findBinding(key);
  if (!binding) return;
  event.preventDefault();
  if (!event.repeat || binding.repeats) binding.run(key);
});

/** Shows the keys of the view that is open. */
function showKeys() {
  const sections = tables
    .filter((table) => table.isActive())
    .map((table) =>
      make(
        "section",
        {},
        make("h3", {}, table.title),
        make("dl", {}, table.keys.filter((each) => each.words).map(describe)),
      ),
    );
  byId("keys-list").replaceChildren(...sections);
  byId("keys-dialog").showModal();
}

function describe({ keys, words, shown }) {
  const names = (shown ?? keys).map((key) => make("kbd", {}, NAMES[key] ?? key.replace(/Arrow(.+)/, (all) => NAMES[all])));
  return make("div", {}, make("dt", {}, names), make("dd", {}, words));
}

byId("show-keys").addEventListener("click", showKeys);
useKeys();
