// The page of the groups: the list, and over it the view that compares one group.

import { addressOf } from "./api.js";
import { openBulk, watchBulk } from "./bulk.js";
import { CompareView } from "./compare.js";
import { compareKeys, listKeys } from "./group_keys.js";
import { decide as send, decisions, keptOf } from "./decide.js";
import { byId } from "./dom.js";
import { showFilters, watchFilters } from "./filters.js";
import { bytes, count } from "./format.js";
import { useKeys } from "./keys.js";
import { GroupList } from "./list.js";
import { watchChanges } from "./live.js";
import { currentGroups, filtersOf, Queue, wholeGroup } from "./queue.js";
import { toast, toastError } from "./toast.js";

const NEXT_GROUPS = 2;
/** The states of decided groups that the list of all groups still shows. */
const STATE_AFTER = { keep: "marked", later: "later", restore: "open" };

let queue = new Queue(filtersOf(location.search));
let listScroll = 0;
/** Groups that were decided since the page was opened, and not undone. */
const decided = new Set();
/** Groups whose decision has not been answered: the server may still list them. */
const underWay = new Set();
const compare = new CompareView(decide);
const list = new GroupList(queue, {
  addressOf: (group) => addressOfGroup(group.group),
  decide,
  onError: toastError,
});

const addressOfGroup = (id) => addressOf(`/group/${id}`, queue.filters);
const openId = () => {
  const [, id] = location.pathname.match(/^\/group\/([a-z0-9]+)$/) ?? [];
  return id ?? null;
};

// --- showing ---

async function showAddress() {
  const filters = filtersOf(location.search);
  if (JSON.stringify(filters) !== JSON.stringify(queue.filters)) startQueue(filters);
  const id = openId();
  try {
    if (id === null) await showList();
    else await showGroup(id);
  } catch (error) {
    toastError(error);
    if (id !== null) leaveGroup();
  }
}

function startQueue(filters) {
  queue = new Queue(filters);
  list.setQueue(queue);
  listScroll = 0;
}

async function showList() {
  compare.hide();
  byId("list-view").hidden = false;
  document.title = "Duplicates · snoopsync";
  if (!queue.groups.length) await list.loadMore();
  writeHead();
  const chosen = list.currentGroup;
  list.redraw();
  scrollTo(0, listScroll);
  if (chosen) list.setCurrent(chosen.group);
}

async function showGroup(id) {
  if (!byId("list-view").hidden) listScroll = scrollY;
  byId("list-view").hidden = true;
  if (!queue.groups.length) await queue.more();
  const group = queue.find(id) ?? (await wholeGroup(id));
  if (openId() !== id) return;
  const at = queue.indexOf(id);
  list.current = id;
  compare.show(group, placeWords(at));
  loadDetails(group, at).catch(toastError);
  document.title = `Compare ${count(group.images.length, "picture")} · snoopsync`;
  byId("previous-group").disabled = at <= 0;
  byId("next-group").disabled = at < 0 || (at === queue.groups.length - 1 && queue.isComplete);
  await preloadNext(at).catch(toastError);
}

/** Loads the next page of the list if need be, and the pictures of the next groups. */
async function preloadNext(at) {
  if (at >= queue.groups.length - NEXT_GROUPS - 1) await queue.more();
  compare.preloadGroups(queue.groups.slice(at + 1, at + 1 + NEXT_GROUPS));
}

/** Loads what the list does not tell: all pictures of the group, dates and cameras. */
async function loadDetails(group, at) {
  const whole = await wholeGroup(group.group);
  if (compare.group !== group) return;
  const shown = { ...whole, picked: group.picked ?? whole.picked };
  if (at >= 0) queue.put(shown, at);
  compare.show(shown, placeWords(at));
}

function placeWords(at) {
  if (at < 0) return "Not in this list";
  const number = Math.max(queue.total?.groups ?? 0, queue.groups.length);
  const done = decided.size > 0 ? `, ${decided.size} decided` : "";
  return `${(at + 1).toLocaleString("en")} of ${count(number, "group")}${done}`;
}

function writeHead() {
  const { total } = queue;
  showFilters(queue.filters, queue.folders, queue.kinds);
  if (!total) return;
  byId("list-summary").textContent = totalWords(total);
  byId("decide-all").hidden = !total.groups || !["open", "later"].includes(queue.filters.state ?? "open");
}

function totalWords({ groups, images, waste_bytes: waste }) {
  if (!groups) return "";
  if (images === null) return `${count(groups, "group")}.`;
  return `${count(groups, "group")}, ${count(images, "picture")}. ${bytes(waste)} can be freed.`;
}

// --- moving ---

function openGroup(id) {
  history.pushState({ fromList: true }, "", addressOfGroup(id));
  return showAddress();
}

/** Returns to the list: by the browser's history where the list is the page before. */
function leaveGroup() {
  if (history.state?.fromList) history.back();
  else {
    history.pushState(null, "", addressOf("/", queue.filters));
    showAddress();
  }
}

function replaceGroup(id) {
  history.replaceState(history.state, "", addressOfGroup(id));
  return showAddress();
}

async function moveGroup(step) {
  try {
    const next = await queue.neighbour(compare.group.group, step);
    if (next) await replaceGroup(next.group);
    else toast(step > 0 ? "This is the last group." : "This is the first group.");
  } catch (error) {
    toastError(error);
  }
}

// --- deciding ---

/** Decides for a group, and shows the next one at once. A refused decision brings it back. */
async function decide(decision, group) {
  if (decision === "keep" && keptOf(group) === null) {
    toast(`${group.series ? "The pictures are a series" : "Nothing favours one of them"}. Open the group and pick one.`);
    return;
  }
  const at = queue.indexOf(group.group);
  const next = queue.groups[at + 1] ?? queue.groups[at - 1] ?? null;
  underWay.add(group.group);
  const sent = send(sentDecision(decision, group), group).then(() => underWay.delete(group.group));
  const isListed = queue.filters.state === "all" && at >= 0 && decision in STATE_AFTER;
  if (isListed) queue.put({ ...group, state: STATE_AFTER[decision] }, at);
  else if (queue.remove(group.group) >= 0) adjustTotal(-1, group);
  if (decision === "restore") decided.delete(group.group);
  else decided.add(group.group);
  list.refresh(group.group);
  if (list.current === group.group) list.current = next?.group ?? null;
  if (compare.isOpen) {
    if (next) await replaceGroup(next.group);
    else leaveGroup();
  } else {
    writeHead();
    list.redraw();
    if (next) list.setCurrent(next.group);
    if (queue.groups.length < 20) await list.loadMore();
  }
  await sent;
}

const sentDecision = (decision, group) =>
  decision === "restore" && group.state !== "dismissed" ? "open" : decision;

function adjustTotal(number, group) {
  if (!queue.total) return;
  queue.total.groups += number;
  if (queue.total.images === null) return;
  queue.total.images += number * (group.image_count ?? group.images.length);
  queue.total.waste_bytes += number * group.waste_bytes;
}

decisions.addEventListener("refused", ({ detail }) => {
  decided.delete(detail.group.group);
  putInOrder(detail.group);
  writeHead();
  list.redraw();
  bringBack([detail.group.group]);
});
decisions.addEventListener("undone", ({ detail }) => {
  for (const id of detail.groups) decided.delete(id);
  bringBack(detail.groups, { show: true });
});

/** Puts groups back where they were, as they are now, and shows the first one. */
async function bringBack(ids, { show = false } = {}) {
  try {
    const few = ids.slice(0, 100);
    const groups = await currentGroups(few);
    const isOpen = compare.isOpen;
    if (ids.length > few.length || queue.filters.state) {
      startQueue(queue.filters);
    } else {
      for (const group of groups) putInOrder(group);
    }
    if (show && isOpen && groups.length) await replaceGroup(groups[0].group);
    else if (!isOpen) {
      await showAddress();
      if (groups.length && queue.find(groups[0].group)) list.setCurrent(groups[0].group);
    }
  } catch (error) {
    toastError(error);
  }
}

function putInOrder(group) {
  list.refresh(group.group);
  if (queue.find(group.group)) return queue.put(group, 0);
  const isBehind = { found: (each) => each.found_at <= group.found_at, size: (each) => sizeOf(each) <= sizeOf(group) };
  const isBefore = isBehind[queue.filters.sort] ?? ((each) => each.waste_bytes <= group.waste_bytes);
  const at = queue.groups.findIndex(isBefore);
  queue.put(group, at < 0 ? queue.groups.length : at);
  return adjustTotal(1, group);
}

const sizeOf = (group) => group.image_count ?? group.images.length;

// --- changes elsewhere ---

/** Looks again at the groups on the screen: those that vanished or changed elsewhere. */
async function lookAgain() {
  const shown = compare.isOpen ? [compare.group.group] : [...list.cards.keys()];
  const now = new Map((await currentGroups(shown)).map((group) => [group.group, group]));
  const wanted = queue.filters.state ?? "open";
  for (const id of shown) {
    const known = queue.find(id);
    const group = now.get(id);
    if (!known) continue;
    if (!group || (wanted !== "all" && group.state !== wanted)) {
      if (compare.isOpen) await leaveVanished(id);
      const at = queue.remove(id);
      if (list.current === id) list.current = (queue.groups[at] ?? queue.groups[at - 1])?.group ?? null;
      adjustTotal(-1, known);
      list.refresh(id);
    } else if (group.version !== known.version) {
      queue.put({ ...group, picked: known.picked ?? group.picked }, 0);
      list.refresh(id);
      if (compare.isOpen) await showAddress();
    }
  }
  if (compare.isOpen) return;
  writeHead();
  list.redraw();
  await offerNews();
}

async function leaveVanished(id) {
  toast("The group that you looked at is gone: its files were changed or removed.");
  const next = (await queue.neighbour(id, 1)) ?? (await queue.neighbour(id, -1));
  if (next) await replaceGroup(next.group);
  else leaveGroup();
}

/** Offers to show new groups. They appear by themselves only where nothing else moves. */
async function offerNews() {
  const page = await queue.firstPage();
  const isFresh = (group) => !queue.find(group.group) && !underWay.has(group.group);
  // Behind the last known group are those that are not loaded yet.
  const lastKnown = page.groups.findLastIndex((group) => queue.find(group.group));
  const fresh = (queue.isComplete ? page.groups : page.groups.slice(0, lastKnown + 1)).filter(isFresh);
  if (fresh.length && !queue.groups.length) {
    showNews();
    return;
  }
  if (page.total) queue.total = page.total;
  writeHead();
  byId("show-news").hidden = fresh.length === 0;
  byId("show-news").textContent = `Show ${count(fresh.length, "new group")}`;
}

function showNews() {
  byId("show-news").hidden = true;
  startQueue(queue.filters);
  showAddress();
}

// --- starting ---

byId("cards").addEventListener("click", (event) => {
  const link = event.target.closest("a.mosaic");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  openGroup(link.closest(".card").dataset.group);
});
byId("show-news").addEventListener("click", showNews);
byId("decide-all").addEventListener("click", () => openBulk(queue.filters, queue.total.groups));
byId("back").addEventListener("click", leaveGroup);
byId("previous-group").addEventListener("click", () => moveGroup(-1));
byId("next-group").addEventListener("click", () => moveGroup(1));
addEventListener("popstate", showAddress);
watchFilters((filters) => {
  history.pushState(null, "", addressOf("/", filters));
  showAddress();
});
watchBulk(() => {
  startQueue(queue.filters);
  showAddress();
});
useKeys(
  compareKeys(compare, { moveGroup, leaveGroup }),
  listKeys(list, { openGroup, decide, isActive: () => !compare.isOpen }),
);
history.scrollRestoration = "manual";
showAddress().then(() => watchChanges(lookAgain));
