// The two pictures that are compared: side by side or in one place, zoomed and moved together.

import { watchGestures } from "./gestures.js";
import { Pane } from "./pane.js";
import { Viewport } from "./viewport.js";

const STEP = 1.5;
const PAN_PX = 80;

export class Stage {
  constructor(root, { slider, modes, zoomWords }) {
    this.root = root;
    this.slider = slider;
    this.modes = modes;
    this.zoomWords = zoomWords;
    this.viewport = new Viewport();
    this.panes = ["left", "right"].map(
      (side) => new Pane(root.querySelector(`[data-side=${side}]`), () => this.draw()),
    );
    this.setMode("side");
    slider.addEventListener("input", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(root);
    watchGestures(root, {
      zoomBy: (factor, x, y) => this.zoomAt(factor, x, y),
      panBy: (dx, dy) => this.panBy(dx, dy),
      tap: () => this.mode === "flicker" && this.flicker(),
    });
    root.addEventListener("dblclick", () => this.switchZoom());
  }

  /**
   * Shows two of these images: those at the two ``places``. The zoom stays where the group is the
   * same one.
   */
  show(images, places, keep, isSameGroup) {
    if (!isSameGroup) this.viewport.reset();
    places.forEach((at, side) =>
      this.panes[side].show(images[at], { isKept: images[at].image_id === keep, at }),
    );
    if (!isSameGroup) this.setShown("left");
    this.draw();
  }

  setMode(mode) {
    this.mode = mode;
    this.root.dataset.mode = mode;
    this.slider.hidden = mode !== "slider";
    for (const button of this.modes) {
      button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    }
    this.setShown("left");
    this.draw();
  }

  /** Switches to a mode, or from it back to side by side. */
  switchMode(mode) {
    this.setMode(this.mode === mode ? "side" : mode);
  }

  /** Shows the other picture in the same place. */
  flicker() {
    if (this.mode !== "flicker") this.setMode("flicker");
    this.setShown(this.root.dataset.shown === "left" ? "right" : "left");
  }

  setShown(side) {
    this.root.dataset.shown = side;
  }

  get isZoomed() {
    return !this.viewport.isFit;
  }

  /** Zooms by a step at the middle of the pane. */
  zoomStep(direction) {
    this.viewport.zoomBy(direction > 0 ? STEP : 1 / STEP, this.panes[0].box);
    this.draw();
  }

  /** Zooms at a point of the window. */
  zoomAt(factor, x, y) {
    const pane = this.paneAt(x, y);
    const area = pane.figure.getBoundingClientRect();
    const dx = x - (area.left + area.width / 2);
    const dy = y - (area.top + area.height / 2);
    this.viewport.zoomBy(factor, pane.box, dx, dy);
    this.draw();
  }

  paneAt(x, y) {
    const isIn = (pane) => {
      const area = pane.figure.getBoundingClientRect();
      return x >= area.left && x <= area.right && y >= area.top && y <= area.bottom;
    };
    return this.panes.find(isIn) ?? this.panes[0];
  }

  /** Switches between the picture as it just fits, and its full size. */
  switchZoom() {
    const wasZoomed = this.isZoomed;
    this.viewport.reset();
    if (!wasZoomed) this.viewport.zoomBy(this.fullZoom, this.panes[0].box);
    this.draw();
  }

  /** Returns the zoom that shows one pixel of the larger picture on one pixel of the screen. */
  get fullZoom() {
    return Math.max(...this.panes.map((pane) => pane.pixelsPerPx)) / devicePixelRatio || 1;
  }

  showWhole() {
    this.viewport.reset();
    this.draw();
  }

  /** Moves the view by one step: (1, 0) shows more of the right. */
  panStep(dx, dy) {
    this.panBy(-dx * PAN_PX, -dy * PAN_PX);
  }

  panBy(dx, dy) {
    if (!this.isZoomed) return;
    this.viewport.panBy(dx, dy, this.panes[0].box);
    this.draw();
  }

  /** Turns the right picture by 90 degrees, to compare it with one that was rotated. */
  turn() {
    this.panes[1].turn = (this.panes[1].turn + 90) % 360;
    this.draw();
  }

  /** Mirrors the right picture. */
  flip() {
    this.panes[1].isFlipped = !this.panes[1].isFlipped;
    this.draw();
  }

  draw() {
    const [left, right] = this.panes;
    this.viewport.least = Math.min(1, this.fullZoom);
    this.viewport.clamp(left.box, left.room);
    left.draw(this.viewport);
    right.draw(this.viewport);
    const share = this.mode === "slider" ? Number(this.slider.value) : 0;
    right.figure.style.clipPath = share ? `inset(0 0 0 ${share}%)` : "none";
    this.root.dataset.zoomed = String(this.isZoomed);
    this.root.style.setProperty("--slider", `${share}%`);
    const percent = Math.round((100 * this.viewport.zoom) / this.fullZoom);
    this.zoomWords.textContent = this.isZoomed ? `${percent} %` : "fit";
  }
}
