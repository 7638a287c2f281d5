// The page of the marked files: copy the paths, unmark files, or move them to the trash.

import { addressOf, get, getText, post } from "./api.js";
import { emptyWords, thumbnail } from "./card.js";
import { decisions, undoAction } from "./decide.js";
import { byId, confirmed, make } from "./dom.js";
import { bytes, companionWords, count } from "./format.js";
import { useKeys } from "./keys.js";
import { watchChanges } from "./live.js";
import { toast, toastError } from "./toast.js";

const selected = new Set();
let files = [];
let next = null;
let total = { count: 0, bytes: 0 };

/** Loads the list again, as far as it was shown. */
async function show() {
  const wanted = files.length;
  let page = await get("/api/marked");
  const loaded = [...page.files];
  while (page.next && loaded.length < wanted) {
    page = await get("/api/marked", { after: page.next });
    loaded.push(...page.files);
  }
  files = loaded;
  byId("files").replaceChildren();
  takePage(page);
}

async function showMore() {
  const after = next;
  const page = await get("/api/marked", { after });
  if (after !== next) return; // a second click, or the list was loaded again
  files.push(...page.files);
  takePage(page);
}

function takePage(page) {
  next = page.next ?? null;
  total = page;
  const known = new Set(files.map((each) => each.image_id));
  for (const id of selected) if (!known.has(id)) selected.delete(id);
  writeHead(page.trash);
  writeFiles();
}

function writeHead(trash) {
  byId("summary").textContent = total.count ? `${count(total.count, "file")}, ${bytes(total.bytes)}.` : "";
  byId("lead").hidden = total.count === 0;
  byId("tools").hidden = total.count === 0;
  byId("trash").hidden = !trash.enabled;
  byId("trash-words").textContent = trash.enabled ? "" : trash.reason ?? "";
  writeButtons();
}

function writeButtons() {
  const words = selected.size ? count(selected.size, "file") : "all";
  byId("unmark").textContent = `Unmark ${words}`;
  byId("trash").textContent = `Move ${words} to the trash`;
}

function writeFiles() {
  const shown = byId("files").children.length;
  byId("files").append(...files.slice(shown).map(fileRow));
  byId("files").hidden = files.length === 0;
  if (!total.count) {
    const words = "In a group, press x to keep one picture. The others are listed here.";
    byId("list-end").replaceChildren(emptyWords("No file is marked", words));
  } else if (next) {
    const button = make("button", { type: "button", className: "button" }, "Show more");
    button.addEventListener("click", () => showMore().catch(toastError));
    byId("list-end").replaceChildren(button);
  } else {
    byId("list-end").replaceChildren();
  }
}

function fileRow(file) {
  const box = make("input", {
    type: "checkbox",
    checked: selected.has(file.image_id),
    "aria-label": `Select ${file.path}`,
  });
  box.addEventListener("change", () => {
    if (box.checked) selected.add(file.image_id);
    else selected.delete(file.image_id);
    writeButtons();
  });
  const group = make("a", { href: `/group/${file.group}`, "aria-label": `Show the group of ${file.path}` }, "Show the group");
  return make(
    "li",
    { className: "row", dataset: { image: file.image_id } },
    make("span", { className: "tile" }, thumbnail({ thumb: `/thumb/${file.image_id}`, ...file })),
    make(
      "div",
      { className: "row-words" },
      make("p", { className: "name" }, `${file.folder}/${file.path}`),
      make("p", { className: "quiet" }, "You keep ", file.keep?.path ?? "another picture"),
      file.companions.map((each) => make("p", { className: "quiet companion" }, companionSentence(each))),
    ),
    make("div", { className: "row-end" }, make("span", { className: "quiet" }, bytes(file.size_bytes)), file.group ? group : null, make("label", {}, box, "Select")),
  );
}

/** Returns whether a companion goes together with its picture, or why it stays. */
function companionSentence(companion) {
  const words = companionWords(companion);
  if (companion.is_marked) return `${words} is marked too.`;
  if (companion.stays) return `${words} stays: ${companion.stays}.`;
  if (companion.must_match) return `${words} goes with it if the picture that you keep has the same file.`;
  return `${words} goes with it.`;
}

/** Copies text, and shows it where the browser does not allow that. */
async function copy({ text, leftOut }, words) {
  if (leftOut) toast(`${count(leftOut, "name")} with a newline ${leftOut === 1 ? "is" : "are"} left out: use the script.`, { isError: true });
  if (text.includes("\ufffd")) {
    // A name is bytes; the clipboard takes text only.
    toast("Some names are not text. Save the script, and do not copy it.", { isError: true });
    return;
  }
  try {
    await navigator.clipboard.writeText(text);
    toast(words);
  } catch {
    byId("copied-text").hidden = false;
    byId("copied-text").value = text;
    byId("copied-text").select();
    toast("The browser does not allow copying. Copy the selected text.");
  }
}

async function copyScript(event) {
  event.preventDefault();
  const { value: into } = event.target.elements.into;
  const address = addressOf("/api/marked/script", { into });
  const link = byId("save-script");
  link.href = address;
  link.download = "move-duplicates.sh";
  link.hidden = false;
  await copy(await getText(address), "The script is copied.");
}

async function unmark() {
  const ids = selected.size ? [...selected] : null;
  await post("/api/marked/unmark", ids ? { image_ids: ids } : { all: true });
  toast(`Unmarked: ${count(ids?.length ?? total.count, "file")}.`, { action: undoAction });
  selected.clear();
  await show();
}

async function moveToTrash() {
  const ids = [...selected];
  const number = ids.length || total.count;
  const isSure = await confirmed(
    `Move ${count(number, "file")} to the trash?`,
    "Before a file is moved, it and the picture that you keep are read again. It stays where it is if one of the two has changed. Files that belong to it go with it if no other picture needs them.",
    "Move to the trash",
  );
  if (!isSure) return;
  byId("trash").disabled = true;
  try {
    const answer = await post("/api/marked/trash", ids.length ? { image_ids: ids } : {});
    const companions = answer.companions ? ` with ${count(answer.companions, "companion")}` : "";
    toast(`Moved to the trash: ${count(answer.moved, "file")}${companions}, ${bytes(answer.bytes)}.`, { action: answer.moved ? undoAction : null });
    writeRefusals(answer.refused, answer.stayed);
    selected.clear();
    await show();
  } finally {
    byId("trash").disabled = false;
  }
}

function writeRefusals(refused, stayed) {
  const part = (files, words) => {
    const rows = files.map(({ path, reason }) => make("li", {}, make("b", {}, path), ` ${reason}`));
    return files.length ? [make("p", {}, words), make("ul", {}, rows)] : [];
  };
  byId("refusals").replaceChildren(
    ...part(refused, `${count(refused.length, "file")} ${refused.length === 1 ? "was" : "were"} not moved:`),
    ...part(stayed, `${count(stayed.length, "companion")} ${stayed.length === 1 ? "stays" : "stay"}:`),
  );
}

const onClick = (id, run) => byId(id).addEventListener("click", () => run().catch(toastError));
onClick("copy-paths", async () => copy(await getText("/api/marked/paths"), "The paths are copied."));
onClick("unmark", unmark);
onClick("trash", moveToTrash);
byId("script-form").addEventListener("submit", (event) => copyScript(event).catch(toastError));
decisions.addEventListener("done", () => show().catch(toastError));
useKeys({
  title: "Marked files",
  isActive: () => true,
  keys: [
    { keys: ["c"], words: "copy the paths", run: () => byId("copy-paths").click() },
    { keys: ["Escape"], words: "back to the groups", run: () => location.assign("/") },
  ],
});
show().catch(toastError);
watchChanges(show);
