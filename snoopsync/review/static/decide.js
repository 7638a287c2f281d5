// Sends decisions, one after the other, and undoes them.

import { post } from "./api.js";
import { count, decisionWords, nameOf } from "./format.js";
import { removeActions, toast, toastError } from "./toast.js";

/** Events: "refused" with {group, reason}, "undone" with {groups}, "done" after each change. */
export const decisions = new EventTarget();

let last = Promise.resolve();

function inOrder(run) {
  const result = last.then(run);
  last = result.catch(() => {});
  return result;
}

function tell(type, detail) {
  decisions.dispatchEvent(new CustomEvent(type, { detail }));
}

/** Returns how many files a decision to keep this image marks: the others on this machine. */
export function countMarked(group, keep) {
  // A page of the list has a few images of each group. The others are taken for files here.
  const unseen = (group.image_count ?? 0) - group.images.length;
  // The files that belong to the one to keep stay with it.
  const companions = group.images.find((each) => each.image_id === keep)?.companions ?? [];
  const stays = new Set(companions.map(({ path }) => path));
  const isMarked = (each) =>
    each.image_id !== keep && each.path !== null && !each.is_gone && !stays.has(`${each.folder}/${each.path}`);
  return group.images.filter(isMarked).length + Math.max(0, unseen);
}

/**
 * Returns which image is to be kept: the person's choice, or the suggestion, or null. The shots of a
 * series are different pictures: none is suggested.
 */
export const keptOf = (group) => group.picked ?? (group.series ? null : group.keep);

/** Decides for one group. Its version stands for the members that the person saw. */
export function decide(decision, group) {
  return inOrder(async () => {
    try {
      const keep = decision === "keep" ? keptOf(group) : null;
      const { group: id, version } = group;
      const answer = await post("/api/decide", { decision, groups: [{ group: id, version, keep }] });
      if (answer.refused.length) throw new Error(`Nothing was decided: ${answer.refused[0].reason}`);
      toast(sentence(decision, group, keep), { action: undoAction });
      tell("done", { groups: [group.group] });
    } catch (error) {
      toastError(error);
      tell("refused", { group, reason: error.message });
    }
  });
}

function sentence(decision, group, keep) {
  if (decision === "keep") {
    const kept = group.images.find((each) => each.image_id === keep);
    return `${nameOf(kept)} is kept. Marked: ${count(countMarked(group, keep), "file")}.`;
  }
  if (decision === "dismiss") return `Not duplicates: ${count(group.image_count ?? group.images.length, "picture")}.`;
  if (decision === "later") return "Moved to the list for later.";
  return "The group is to be decided again.";
}

/** Undoes the last decision, also one of an earlier session. */
export function undo() {
  return inOrder(async () => {
    removeActions();
    try {
      const answer = await post("/api/undo");
      if (!answer.undone) {
        toast("Nothing to undo.");
        return;
      }
      const refused = answer.refused?.[0]?.reason;
      toast(`Undone: ${decisionWords[answer.undone] ?? answer.undone}.${refused ? ` ${refused}` : ""}`);
      tell("undone", { groups: answer.groups ?? [] });
      tell("done", { groups: answer.groups ?? [] });
    } catch (error) {
      toastError(error);
    }
  });
}

export const undoAction = { words: "Undo", key: "u", run: undo };
