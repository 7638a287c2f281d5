// The list of groups. It may be very long, so only the cards near the window are in the page, and
// the next page is loaded when the window comes near the last card.

import { emptyWords, groupCard } from "./card.js";
import { byId } from "./dom.js";

const ROWS_AROUND = 4;
const FIRST_CARDS = 12;
const PAUSE_MS = 5000;

export class GroupList {
  /** ``addressOf(group)`` is the link of a card; ``decide`` is called by its buttons. */
  constructor(queue, { addressOf, decide, onError }) {
    this.list = byId("cards");
    this.end = byId("list-end");
    this.options = { addressOf, decide };
    this.onError = onError;
    this.cards = new Map();
    this.current = null;
    this.rowHeight = 0;
    this.notBefore = 0;
    this.setQueue(queue);
    addEventListener("scroll", () => this.redrawSoon(), { passive: true });
    new ResizeObserver(() => this.measure()).observe(this.list);
    this.list.addEventListener("focusin", (event) => {
      const card = event.target.closest(".card");
      if (card) this.setCurrent(card.dataset.group, { focus: false });
    });
  }

  setQueue(queue) {
    this.queue = queue;
    this.current = null;
    this.clear();
  }

  get isShown() {
    return !byId("list-view").hidden;
  }

  /** Loads the next page. After an error, nothing is loaded for some seconds. */
  async loadMore() {
    if (!this.isShown || this.queue.isComplete || this.queue.loading) return;
    if (Date.now() < this.notBefore) return;
    const { queue } = this;
    try {
      await queue.more();
    } catch (error) {
      this.notBefore = Date.now() + PAUSE_MS;
      this.onError(error);
      return;
    }
    if (queue === this.queue) this.redraw();
  }

  clear() {
    for (const card of this.cards.values()) card.remove();
    this.cards.clear();
  }

  /** Builds the card of a group again after it has changed. */
  refresh(id) {
    this.cards.get(id)?.remove();
    this.cards.delete(id);
  }

  measure() {
    if (!this.isShown) return;
    const style = getComputedStyle(this.list);
    this.columns = style.gridTemplateColumns.split(" ").length;
    const first = this.list.querySelector(".card");
    this.rowHeight = first ? first.offsetHeight + parseFloat(style.rowGap) : 0;
    this.redraw();
  }

  redrawSoon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.redraw();
    });
  }

  /** Returns the places of the first card in the page, and of the one after the last. */
  range() {
    const number = this.queue.groups.length;
    if (!this.rowHeight) return [0, Math.min(number, FIRST_CARDS)];
    const top = -this.list.getBoundingClientRect().top;
    const rows = Math.ceil(number / this.columns);
    const clamp = (row) => Math.min(rows, Math.max(0, row));
    const first = clamp(Math.floor(top / this.rowHeight) - ROWS_AROUND);
    const last = clamp(Math.ceil((top + innerHeight) / this.rowHeight) + ROWS_AROUND);
    return [first * this.columns, Math.min(number, last * this.columns)];
  }

  /** Puts the cards near the window into the page, and removes the others. */
  redraw() {
    if (!this.isShown) return;
    // The keys decide about the first group until the person chooses another one.
    if (!this.currentGroup) this.current = this.queue.groups[0]?.group ?? null;
    const [first, last] = this.range();
    const groups = this.queue.groups.slice(first, last);
    const wanted = new Set(groups.map((group) => group.group));
    for (const [id, card] of this.cards) {
      if (wanted.has(id)) continue;
      stopLoading(card);
      card.remove();
      this.cards.delete(id);
    }
    groups.forEach((group, at) => this.putCard(group, at, first + at));
    this.pad(first, last);
    this.writeEnd();
    if (!this.rowHeight && this.cards.size) this.measure();
    else if (last >= this.queue.groups.length) this.loadMore();
  }

  putCard(group, at, place) {
    let card = this.cards.get(group.group);
    if (!card) {
      card = groupCard(group, this.options.addressOf(group), this.options.decide);
      this.cards.set(group.group, card);
    }
    if (this.list.children[at] !== card) this.list.insertBefore(card, this.list.children[at] ?? null);
    card.setAttribute("aria-posinset", String(place + 1));
    card.setAttribute("aria-setsize", String(this.queue.total?.groups ?? -1));
    card.classList.toggle("current", group.group === this.current);
  }

  pad(first, last) {
    const rows = (places) => Math.ceil(places / (this.columns || 1));
    const { style } = this.list;
    style.paddingTop = `${rows(first) * this.rowHeight}px`;
    style.paddingBottom = `${rows(this.queue.groups.length - last) * this.rowHeight}px`;
  }

  writeEnd() {
    const { queue } = this;
    if (!queue.isComplete) this.end.textContent = "Loading…";
    else if (queue.groups.length) this.end.textContent = "";
    else this.end.replaceChildren(this.emptyMessage());
  }

  emptyMessage() {
    const { state, ...others } = this.queue.filters;
    delete others.sort;
    if (Object.keys(others).length) return emptyWords("No group matches the filters", "Choose other filters to see more.");
    if (state === "later") return emptyWords("Nothing is left for later", "Press l on a group to decide later.");
    if (state === "dismissed") return emptyWords("Nothing was dismissed", "Press d on a group whose pictures are not duplicates.");
    if (state === "marked") return emptyWords("No group is marked", "Press x on a group to keep one picture and mark the others.");
    if (state === "all") return emptyWords("No duplicates", "New ones appear here as soon as snoopsync finds them.");
    return emptyWords("No duplicates to decide", "New ones appear here as soon as snoopsync finds them.");
  }

  /** Makes a group the current one: keys decide about it. */
  setCurrent(id, { focus = true } = {}) {
    this.current = id;
    for (const [each, card] of this.cards) card.classList.toggle("current", each === id);
    if (!focus) return;
    this.scrollTo(id);
    this.cards.get(id)?.querySelector("a").focus({ preventScroll: true });
  }

  scrollTo(id) {
    const at = this.queue.indexOf(id);
    if (at < 0 || !this.rowHeight) return;
    const row = Math.floor(at / this.columns) * this.rowHeight;
    const listTop = this.list.getBoundingClientRect().top + scrollY;
    const top = listTop + row - innerHeight / 2 + this.rowHeight / 2;
    const isInSight = listTop + row > scrollY + 60 && listTop + row + this.rowHeight < scrollY + innerHeight;
    if (!isInSight) scrollTo({ top: Math.max(0, top), behavior: "instant" });
    this.redraw();
  }

  /** Moves to the group so many places or rows further. */
  async move(step, { rows = false } = {}) {
    const places = rows ? step * (this.columns || 1) : step;
    const wanted = this.queue.indexOf(this.current) + places;
    try {
      if (wanted >= this.queue.groups.length) await this.queue.more();
    } catch (error) {
      this.onError(error);
      return;
    }
    const group = this.queue.groups[wanted];
    if (group) this.setCurrent(group.group);
  }

  get currentGroup() {
    return this.queue.find(this.current);
  }
}

/** Cancels requests for thumbnails, so that a long scroll does not delay those in sight. */
function stopLoading(card) {
  for (const picture of card.querySelectorAll("img")) {
    if (!picture.complete) picture.removeAttribute("src");
  }
}
