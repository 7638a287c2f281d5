// The view of one group: the stage, the strip of its pictures, what differs, and the decision.

import { MOST_KEYS, ordered, thumbnail } from "./card.js";
import { countMarked, keptOf } from "./decide.js";
import { differences } from "./differences.js";
import { byId, make } from "./dom.js";
import { count, nameOf, pixels, reasonWords, relation, wasteWords } from "./format.js";
import { preload } from "./pane.js";
import { Stage } from "./stage.js";

const TURNED = ["rotated", "mirrored"];

export class CompareView {
  /** ``decide(decision, group)`` is called with the person's decision. */
  constructor(decide) {
    this.root = byId("compare-view");
    this.group = null;
    this.images = [];
    this.stage = new Stage(byId("stage"), {
      slider: byId("slider"),
      modes: this.root.querySelectorAll("[data-mode][aria-pressed]"),
      zoomWords: byId("zoom-words"),
    });
    this.decide = (decision) => this.canDecide(decision) && decide(decision, this.group);
    this.root.addEventListener("click", (event) => this.onClick(event));
  }

  get isOpen() {
    return !this.root.hidden;
  }

  /** Shows a group. ``words`` say where it is in the list. */
  show(group, words) {
    const isSame = this.group?.group === group.group;
    const shown = isSame ? [this.left, this.right].map((at) => this.images[at]?.image_id) : [];
    if (isSame && group.picked === undefined) group.picked = this.group.picked;
    this.group = group;
    this.images = ordered(group);
    [this.left, this.right] = this.placesOf(shown);
    this.root.hidden = false;
    this.root.dataset.state = group.state;
    byId("compare-title").textContent = `${count(group.image_count ?? this.images.length, "picture")}, ${wasteWords(group)}`;
    byId("compare-summary").textContent = words;
    this.update(isSame);
    if (!isSame) byId("compare-title").focus({ preventScroll: true });
  }

  placesOf(ids) {
    const places = ids.map((id) => this.images.findIndex((each) => each.image_id === id));
    if (places.length === 2 && !places.includes(-1)) return places;
    const left = Math.max(0, this.images.findIndex((each) => each.image_id === keptOf(this.group)));
    return [left, this.images.length > 1 ? (left === 0 ? 1 : 0) : left];
  }

  hide() {
    this.root.hidden = true;
    this.group = null;
  }

  /** Loads the pictures of the groups that come next. */
  preloadGroups(groups) {
    preload(groups.flatMap((group) => ordered(group).slice(0, 2)));
  }

  update(isSameGroup = true) {
    const [left, right] = [this.images[this.left], this.images[this.right]];
    this.stage.show(this.images, [this.left, this.right], keptOf(this.group), isSameGroup);
    byId("turns").hidden = ![left, right].some(({ kind }) => TURNED.includes(kind));
    this.writeStrip();
    this.writeFacts(left, right);
    this.writeAdvice();
  }

  /** Chooses the one to keep by its number, from 0, and shows it on the left. */
  pick(at) {
    const image = this.images[at];
    if (!image || !isOffered("keep", this.group.state)) return;
    this.group.picked = image.image_id;
    if (this.right === at) this.right = this.left;
    this.left = at;
    this.update();
  }

  /** Shows the next or the previous picture on a side, passing over the one of the other side. */
  step(side, direction) {
    if (this.images.length < 3) return;
    const other = side === "left" ? this.right : this.left;
    const number = this.images.length;
    let at = this[side];
    do at = (at + direction + number) % number;
    while (at === other);
    this[side] = at;
    this.update();
  }

  /** Shows a picture on the right: a click in the strip. */
  compareWith(at) {
    if (at === this.left) return;
    this.right = at;
    this.update();
  }

  onClick(event) {
    const target = event.target.closest("button");
    if (!target || !this.root.contains(target)) return;
    const { mode, zoom, decision, at, pick } = target.dataset;
    if (target.id === "turn") this.stage.turn();
    else if (target.id === "flip") this.stage.flip();
    else if (mode) this.stage.setMode(mode);
    else if (zoom) this.zoom(zoom);
    else if (decision) this.decide(decision);
    else if (pick !== undefined) this.pick(Number(pick));
    else if (at !== undefined) this.compareWith(Number(at));
    // After a click with the mouse, the space bar flickers and does not press the button again.
    if (event.detail > 0 && this.isOpen) byId("compare-title").focus({ preventScroll: true });
  }

  zoom(how) {
    if (how === "switch") this.stage.switchZoom();
    else this.stage.zoomStep(how === "in" ? 1 : -1);
  }

  writeStrip() {
    const keep = keptOf(this.group);
    const focused = document.activeElement?.closest?.("#strip [data-at]")?.dataset.at;
    byId("strip").replaceChildren(...this.images.map((image, at) => this.stripItem(image, at, keep)));
    byId("strip").hidden = this.images.length < 3;
    if (focused) byId("strip").querySelector(`[data-at="${focused}"]`)?.focus();
    // Scrolls the strip alone: scrollIntoView would also move the page.
    const shown = byId("strip").children[this.right];
    if (shown) byId("strip").scrollLeft = shown.offsetLeft - byId("strip").clientWidth / 2;
  }

  stripItem(image, at, keep) {
    const side = at === this.left ? "left" : at === this.right ? "right" : null;
    const isKept = image.image_id === keep;
    const facts = image.is_marked ? "marked" : (relation(image) ?? pixels(image) ?? "");
    const item = make(
      "li",
      { className: "strip-item" },
      make(
        "button",
        { type: "button", className: "strip-picture", dataset: { at }, title: nameOf(image), "aria-label": `Compare with ${nameOf(image)}`, "aria-pressed": String(side !== null) },
        thumbnail(image, { eager: at < 12 }),
        at < MOST_KEYS ? make("kbd", {}, String(at + 1)) : null,
        isKept ? make("span", { className: "badge" }, "keep") : null,
      ),
      make("span", { className: "strip-words", title: facts }, facts || "\u00a0"),
      make("button", { type: "button", className: "link-button", dataset: { pick: at }, "aria-label": `Keep ${nameOf(image)}`, disabled: isKept }, isKept ? "kept" : "keep"),
    );
    if (side) item.dataset.side = side;
    return item;
  }

  writeFacts(left, right) {
    const table = byId("facts");
    const keep = keptOf(this.group);
    const heading = (image, side) =>
      make("th", { scope: "col" }, image.image_id === keep ? "Keep" : side);
    table.tHead.replaceChildren(
      make("tr", {}, make("td"), heading(left, "Left"), heading(right, "Right")),
    );
    table.tBodies[0].replaceChildren(
      ...differences(left, right).map((row) =>
        make(
          "tr",
          { className: row.differs ? "differs" : "" },
          make("th", { scope: "row" }, row.label),
          make("td", { dataset: { side: "left" } }, breakable(row.left), note(row.leftNote)),
          make("td", { dataset: { side: "right" } }, breakable(row.right), note(row.rightNote)),
        ),
      ),
    );
  }

  writeAdvice() {
    const { group } = this;
    const kept = this.images.find((each) => each.image_id === keptOf(group));
    byId("advice").replaceChildren(...adviceFor(group, kept));
    byId("keep-words").textContent = kept ? "Keep this one" : "Keep one: pick it";
    for (const button of this.root.querySelectorAll("[data-decision]")) {
      button.hidden = !isOffered(button.dataset.decision, group.state);
      button.disabled = button.dataset.decision === "keep" && !kept;
    }
  }

  canDecide(decision) {
    if (!this.group || !isOffered(decision, this.group.state)) return false;
    return decision !== "keep" || keptOf(this.group) !== null;
  }
}

/** Returns text that may wrap after each slash and underscore: paths are long. */
const breakable = (text) => (text ?? "–").split(/(?<=[/_])/).flatMap((part) => [part, make("wbr")]);

const note = (words) => (words ? make("span", { className: "note" }, words) : null);

function isOffered(decision, state) {
  if (state === "open") return decision !== "restore";
  if (state === "later") return decision === "keep" || decision === "dismiss" || decision === "restore";
  return decision === "restore" && state !== "gone";
}

const SERIES_WORDS = "These pictures are a series: shots of one scene, taken seconds apart. Each may be worth keeping.";

/** Returns the sentences that say which one to keep, why, and what the decision does. */
function adviceFor(group, kept) {
  if (group.state === "dismissed") return ["You decided that these pictures are not duplicates."];
  if (group.state === "gone") return ["There is nothing to decide: a file of this group is gone."];
  if (group.state === "marked") return ["The files that are not to be kept are on the marked list."];
  const words = [];
  if (group.series) words.push(SERIES_WORDS);
  if (!kept && group.series) words.push(" To keep only one, pick it: press its number, or “keep” on it.");
  else if (!kept) words.push("Nothing favours one of them. Pick the one to keep: press its number, or “keep” on it.");
  else if (group.picked && (group.series || group.picked !== group.keep)) words.push(" You picked ", make("b", {}, nameOf(kept)), ". ");
  else words.push("Keep ", make("b", {}, nameOf(kept)), `: ${reasonWords(group.reason) ?? group.reason_words ?? "you decide"}. `);
  if (kept) words.push(`${count(countMarked(group, kept.image_id), "other file")} will be marked.`);
  if (group.chain) words.push(make("span", { className: "warning" }, " This is a chain: some pictures are only like another one, not like the one to keep."));
  return words;
}
