// The dialog that decides for all shown groups. It shows first what the decision would do.

import { post } from "./api.js";
import { undoAction } from "./decide.js";
import { byId, make } from "./dom.js";
import { filterWords } from "./filters.js";
import { bytes, count, kindWords } from "./format.js";
import { toast, toastError } from "./toast.js";

const dialog = byId("all-dialog");
const form = byId("all-form");
const confirm = byId("all-confirm");

let filters = {};
let preview = null;
let onDecided = () => {};

/** Prepares the dialog. ``decided`` is called after a decision. */
export function watchBulk(decided) {
  onDecided = decided;
  form.addEventListener("change", showPreview);
  confirm.addEventListener("click", decideAll);
}

/** Opens the dialog for the groups that these filters show. */
export function openBulk(shown, groups) {
  filters = { folder: null, kind: null, max_rank: null, state: "open", ...shown };
  if (filters.max_rank !== null) filters.max_rank = Number(filters.max_rank);
  delete filters.sort;
  const words = filterWords(shown);
  byId("all-keep-words").textContent = keepWords(filters);
  byId("all-scope").textContent = `${count(groups, "group")} ${groups === 1 ? "is" : "are"} shown${words ? `: ${words}` : ""}.`;
  dialog.showModal();
  return showPreview();
}

/** Returns which files the decision to keep marks: those that the filters name. */
function keepWords({ kind, max_rank: rank }) {
  if (kind === null && rank === null) return "and mark the others";
  const which = [kind && kindWords(kind), "files", rank !== null && `of rank up to ${rank}`];
  return `and mark only the ${which.filter(Boolean).join(" ")} of its group`;
}

const chosen = () => form.elements.decision.value;

async function showPreview() {
  const decision = chosen();
  confirm.disabled = true;
  preview = null;
  byId("all-preview").textContent = "Looking at the groups…";
  try {
    const answer = await post("/api/decide-all", { decision, filter: filters, preview: true });
    if (decision !== chosen()) return;
    preview = answer;
    byId("all-preview").replaceChildren(...effectOf(decision, answer));
    confirm.disabled = answer.groups === 0;
    confirm.textContent = `Decide for ${count(answer.groups, "group")}`;
  } catch (error) {
    byId("all-preview").textContent = error.message;
  }
}

function effectOf(decision, { groups, images, bytes: size, skipped, kinds }) {
  const effect = {
    keep: `${count(images, "file")} in ${count(groups, "group")} will be marked: ${bytes(size)}. Nothing is deleted.`,
    dismiss: `${count(images, "picture")} in ${count(groups, "group")} will not be reported again as duplicates of each other.`,
    later: `${count(groups, "group")} will move to the list for later.`,
  };
  const left = skipped.map((each) => make("li", {}, `${count(each.groups, "group")} ${each.groups === 1 ? "stays" : "stay"}: ${each.reason}`));
  const byKind = Object.entries(decision === "keep" ? (kinds ?? {}) : {}).map(
    ([kind, number]) => `${number.toLocaleString("en")} ${kindWords(kind)}`,
  );
  return [
    make("p", { className: "effect" }, effect[decision]),
    byKind.length ? make("p", {}, `${byKind.join(", ")}.`) : "",
    left.length ? make("ul", { className: "quiet" }, left) : "",
  ];
}

async function decideAll() {
  confirm.disabled = true;
  const decision = chosen();
  try {
    const answer = await post("/api/decide-all", {
      decision,
      filter: filters,
      preview: false,
      digest: preview.digest,
    });
    dialog.close();
    toast(`Decided for ${count(answer.groups, "group")}.`, { action: undoAction });
    onDecided();
  } catch (error) {
    toastError(error);
    await showPreview();
  }
}
