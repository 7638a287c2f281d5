// The groups that match the filters, in order, as far as they are loaded.

import { get } from "./api.js";

const PAGE = 50;
export const FILTERS = ["state", "folder", "kind", "max_rank", "sort"];

/** Returns the filters of the address: only those that are set. */
export function filtersOf(search) {
  const parameters = new URLSearchParams(search);
  const set = FILTERS.filter((name) => parameters.get(name));
  return Object.fromEntries(set.map((name) => [name, parameters.get(name)]));
}

export class Queue {
  constructor(filters) {
    this.filters = filters;
    this.groups = [];
    this.total = null;
    this.folders = [];
    this.kinds = [];
    this.isComplete = false;
    this.cursor = null;
    this.loading = null;
  }

  /** Loads the next page, unless all is loaded. Calls at the same time share one request. */
  async more() {
    if (this.isComplete) return;
    this.loading ??= this.loadPage().finally(() => (this.loading = null));
    await this.loading;
  }

  async loadPage() {
    const page = await get("/api/groups", { ...this.filters, after: this.cursor, count: PAGE });
    const known = new Set(this.groups.map((each) => each.group));
    this.groups.push(...page.groups.filter((each) => !known.has(each.group)));
    this.cursor = page.next;
    this.isComplete = page.next === null || page.next === undefined;
    this.total = page.total;
    this.folders = page.folders ?? [];
    this.kinds = page.kinds ?? [];
  }

  /** Returns the current first page without taking it: groups may have joined. */
  firstPage() {
    return get("/api/groups", { ...this.filters, count: PAGE });
  }

  indexOf(id) {
    return this.groups.findIndex((each) => each.group === id);
  }

  find(id) {
    return this.groups.find((each) => each.group === id) ?? null;
  }

  /** Returns the group so many steps further, loading it if need be, or null at an end. */
  async neighbour(id, step) {
    const at = this.indexOf(id) + step;
    while (at >= this.groups.length && !this.isComplete) await this.more();
    return this.groups[at] ?? null;
  }

  /** Removes a group and returns where it was, or -1. */
  remove(id) {
    const at = this.indexOf(id);
    if (at >= 0) this.groups.splice(at, 1);
    return at;
  }

  put(group, at) {
    const known = this.indexOf(group.group);
    if (known >= 0) this.groups[known] = group;
    else this.groups.splice(Math.max(0, at), 0, group);
  }
}

/** Returns these groups as they are now; one that no longer exists is left out. */
export async function currentGroups(ids) {
  if (!ids.length) return [];
  return (await get("/api/groups", { ids: ids.join(",") })).groups;
}

/** Returns a group with all its images and their details: dates and cameras. */
export async function wholeGroup(id) {
  return get(`/api/group/${encodeURIComponent(id)}`);
}
