// One of the two pictures on the stage: loads it at full resolution, and draws it.

import { absence, MOST_KEYS } from "./card.js";
import { make } from "./dom.js";
import { bytes, nameOf, pixels } from "./format.js";
import { fitted } from "./viewport.js";

const KEPT_PICTURES = 8;
const PIXELATED_FROM = 3;

/** Full pictures that were loaded lately, by address: the next group shows at once. */
const loaded = new Map();

/** Loads a picture at full resolution. Returns an element, decoded. */
function load(address) {
  const known = loaded.get(address);
  if (known) {
    loaded.delete(address);
    loaded.set(address, known);
    return known;
  }
  const picture = make("img", { alt: "", draggable: false, src: address });
  const ready = picture.decode().then(() => picture);
  ready.catch(() => loaded.delete(address));
  loaded.set(address, ready);
  while (loaded.size > KEPT_PICTURES) loaded.delete(loaded.keys().next().value);
  return ready;
}

/** Loads pictures that are likely to be shown next. */
export function preload(images) {
  for (const image of images) if (image?.picture) load(image.picture).catch(() => {});
}

/** Rounds to whole pixels of the screen: the difference of two blurred edges would not be black. */
const whole = (px) => Math.round(px * devicePixelRatio) / devicePixelRatio;

function keepButton(image, at) {
  const properties = { type: "button", dataset: { pick: at }, "aria-label": `Keep ${nameOf(image)}` };
  const number = at < MOST_KEYS ? make("kbd", {}, String(at + 1)) : null;
  return make("button", { ...properties, className: "caption-button" }, "keep", number);
}

export class Pane {
  constructor(figure, redraw) {
    this.figure = figure;
    this.picture = figure.querySelector("img");
    this.words = figure.querySelector(".no-picture");
    this.caption = figure.querySelector("figcaption");
    this.redraw = redraw;
    this.image = null;
    this.isFull = false;
    this.resetTurn();
  }

  /**
   * Shows an image: its thumbnail at once, and the full picture as soon as it is decoded. ``at`` is
   * its place in the group.
   */
  show(image, { isKept, at }) {
    const isSame = this.image?.image_id === image.image_id && this.image?.sha256 === image.sha256;
    this.image = image;
    this.writeCaption(isKept, at);
    if (isSame) return;
    this.resetTurn();
    this.isFull = false;
    this.figure.dataset.loaded = "none";
    if (!image.picture) {
      this.showWords(absence(image));
      return;
    }
    if (image.thumb) this.place(make("img", { draggable: false, src: image.thumb }));
    const { picture: address } = image;
    load(address).then(
      (picture) => this.image.picture === address && this.place(picture, true),
      () => this.image.picture === address && this.showWords("The picture cannot be shown"),
    );
  }

  place(picture, isFull = false) {
    picture.alt = nameOf(this.image);
    picture.addEventListener("load", this.redraw, { once: true });
    // One element cannot be in both panes: the same picture may have been shown in the other one.
    const element = picture.isConnected && picture !== this.picture ? picture.cloneNode() : picture;
    this.picture.replaceWith(element);
    this.picture = element;
    this.picture.hidden = false;
    this.words.hidden = true;
    this.isFull = isFull;
    this.figure.dataset.loaded = isFull ? "full" : "thumb";
    this.redraw();
  }

  showWords(words) {
    this.picture.hidden = true;
    this.words.hidden = false;
    this.words.textContent = words;
    this.figure.dataset.loaded = "words";
  }

  writeCaption(isKept, at) {
    const { image } = this;
    const facts = [pixels(image), image.size_bytes === null ? null : bytes(image.size_bytes)];
    this.caption.replaceChildren(
      isKept ? make("span", { className: "badge" }, "keep") : keepButton(image, at),
      make("span", { className: "caption-name" }, nameOf(image)),
      make("span", { className: "caption-facts" }, facts.filter(Boolean).join(" · ")),
    );
  }

  resetTurn() {
    this.turn = 0;
    this.isFlipped = false;
  }

  /** Returns the size of the picture as it is drawn, in its own pixels. */
  get size() {
    const width = this.picture.naturalWidth || this.image?.width || 4;
    const height = this.picture.naturalHeight || this.image?.height || 3;
    return this.turn % 180 ? { width: height, height: width } : { width, height };
  }

  /**
   * Returns the pixels of the full picture for each pixel of the window where it just fits; 0
   * without a picture.
   */
  get pixelsPerPx() {
    if (this.picture.hidden) return 0;
    const fit = fitted(this.size, this.room);
    const full = this.isFull ? 1 : (this.image?.width ?? 1) / (this.picture.naturalWidth || 1);
    return full / fit.scale;
  }

  get room() {
    return { width: this.figure.clientWidth, height: this.figure.clientHeight };
  }

  get box() {
    return fitted(this.size, this.room);
  }

  /** Draws the part that the viewport shows. */
  draw(viewport) {
    const { room, box, size } = this;
    if (!room.width || this.picture.hidden) return;
    const scale = box.scale * viewport.zoom;
    const isTurned = this.turn % 180 !== 0;
    const width = (isTurned ? size.height : size.width) * scale;
    const height = (isTurned ? size.width : size.height) * scale;
    const x = room.width / 2 + (0.5 - viewport.x) * box.width * viewport.zoom;
    const y = room.height / 2 + (0.5 - viewport.y) * box.height * viewport.zoom;
    const { style } = this.picture;
    style.width = `${whole(width)}px`;
    style.height = `${whole(height)}px`;
    style.transform = `translate(${whole(x - width / 2)}px, ${whole(y - height / 2)}px) rotate(${this.turn}deg) scaleX(${this.isFlipped ? -1 : 1})`;
    style.imageRendering = scale * devicePixelRatio >= PIXELATED_FROM && this.isFull ? "pixelated" : "auto";
  }
}
