// Pictures and groups as small cards.

import { icon, make } from "./dom.js";
import { bytes, count, kindWords, nameOf, pixels, placeOf, reasonWords, relation, wasteWords } from "./format.js";
import { keptOf } from "./decide.js";

const MOST_TILES = 5;

/** So many pictures of a group can be picked with a digit. */
export const MOST_KEYS = 9;

/** Returns the thumbnail of an image, or words where no picture can be shown. */
export function thumbnail(image, { eager = false } = {}) {
  if (!image.thumb) return make("span", { className: "no-thumb" }, absence(image));
  const picture = make("img", {
    loading: eager ? "eager" : "lazy",
    decoding: "async",
    alt: "",
    draggable: false,
  });
  picture.addEventListener("error", () =>
    picture.replaceWith(make("span", { className: "no-thumb" }, "No preview")),
  );
  picture.src = image.thumb;
  return picture;
}

/** Returns why an image has no picture here. */
export function absence(image) {
  if (image.is_gone) return "The file is gone";
  if (image.path === null || image.path === undefined) return image.label ? `On another machine: ${image.label}` : "On another machine";
  return "No picture";
}

/** Returns the images with the one to keep first: the order in which the page numbers them. */
export function ordered(group) {
  const keep = group.keep;
  const first = group.images.filter((each) => each.image_id === keep);
  return [...first, ...group.images.filter((each) => each.image_id !== keep)];
}

/** Returns a group as a card of the list. */
export function groupCard(group, address, decide) {
  const images = ordered(group);
  const number = group.image_count ?? images.length;
  const title = nameOf(images[0]);
  const words = `${count(number, "picture")}, ${wasteWords(group)}`;
  const card = make("li", { className: "card", dataset: { group: group.group } });
  card.append(
    make(
      "a",
      { className: "mosaic", href: address, "aria-label": `${title}: ${words}`, dataset: { tiles: Math.min(number, MOST_TILES) } },
      tiles(images, number, keptOf(group)),
    ),
    make(
      "div",
      { className: "card-words" },
      make("h2", { className: "name", title }, title),
      make("p", { className: "quiet line" }, `${count(number, "picture")} · `, make("b", {}, wasteWords(group))),
      make("p", { className: "quiet line" }, stateWords(group)),
      make("p", { className: "chips" }, kindChips(images)),
    ),
  );
  if (group.state === "open") card.append(quickDecisions(group, decide));
  return card;
}

function tiles(images, number, keep) {
  const shown = images.slice(0, MOST_TILES);
  return shown.map((image, at) => {
    const isLast = at === MOST_TILES - 1 && number > MOST_TILES;
    return make(
      "span",
      { className: "tile" },
      thumbnail(image),
      image.image_id === keep ? make("span", { className: "badge" }, "keep") : null,
      isLast ? make("span", { className: "more" }, `+${number - MOST_TILES + 1}`) : null,
    );
  });
}

function stateWords(group) {
  const states = { later: "Later", dismissed: "Not duplicates", marked: "Marked", gone: "Gone" };
  if (states[group.state]) return states[group.state];
  const marked = group.images.filter((each) => each.is_marked).length;
  if (group.state === "open" && marked) return `${count(marked, "file")} marked, others to decide`;
  if (group.picked && group.picked !== group.keep) return "You picked the one to keep";
  if (group.series) return "A series: shots taken seconds apart";
  if (group.keep) return `Keep the first: ${reasonWords(group.reason) ?? group.reason_words}`;
  return "Nothing favours one of them";
}

function kindChips(images) {
  const numbers = new Map();
  for (const { kind } of images) if (kind) numbers.set(kind, (numbers.get(kind) ?? 0) + 1);
  return [...numbers].map(([kind, number]) =>
    make("span", { className: "chip" }, number > 1 ? `${number} ${kindWords(kind)}` : kindWords(kind)),
  );
}

function quickDecisions(group, decide) {
  const button = (decision, words, title) => {
    const made = make("button", { type: "button", className: "button small", title }, words);
    made.addEventListener("click", () => decide(decision, group));
    return made;
  };
  return make(
    "div",
    { className: "card-actions" },
    keptOf(group) ? button("keep", "Keep first", "Keep the first one, mark the others (x)") : null,
    button("dismiss", "Not duplicates", "Not duplicates (d)"),
    button("later", "Later", "Later (l)"),
  );
}

/** Returns one image as a card: search results, held deletions. */
export function imageCard(image, { href = null, eager = false } = {}) {
  const frame = make(href ? "a" : "div", { className: "mosaic", dataset: { tiles: 1 } }, make("span", { className: "tile" }, thumbnail(image, { eager })));
  if (href) {
    frame.href = href;
    frame.setAttribute("aria-label", `Open the group of ${nameOf(image)}`);
  }
  return make(
    "li",
    { className: "card" },
    frame,
    make(
      "div",
      { className: "card-words" },
      make("p", { className: "name", title: nameOf(image) }, nameOf(image)),
      make("p", { className: "quiet line", title: placeOf(image) }, placeOf(image)),
      make("p", { className: "quiet line" }, [pixels(image), image.size_bytes === null ? null : bytes(image.size_bytes)].filter(Boolean).join(" · ")),
      relation(image) ? make("p", { className: "chips" }, make("span", { className: "chip" }, relation(image))) : null,
    ),
  );
}

/** Returns the words for a list that has nothing to show. */
export function emptyWords(title, words) {
  return make("div", { className: "empty" }, icon("keep"), make("p", { className: "empty-title" }, title), make("p", { className: "quiet" }, words));
}
