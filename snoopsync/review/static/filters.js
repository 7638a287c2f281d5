// The form of the filters. What it says is the query of the address, so that "back" works.

import { byId, make } from "./dom.js";
import { kindWords } from "./format.js";
import { FILTERS } from "./queue.js";

const form = byId("filters");
const DEFAULTS = { state: "open", sort: "waste" };

/** Calls ``onChange`` with the filters that the person chose. */
export function watchFilters(onChange) {
  form.addEventListener("change", () => onChange(chosenFilters()));
  form.addEventListener("submit", (event) => event.preventDefault());
  byId("clear-filters").addEventListener("click", () => onChange({}));
}

/** Shows the filters in the form, with the folders and kinds that groups have. */
export function showFilters(filters, folders, kinds) {
  fill(form.elements.folder, folders, (name) => name, filters.folder);
  fill(form.elements.kind, kinds, kindWords, filters.kind);
  for (const name of FILTERS) form.elements[name].value = filters[name] ?? DEFAULTS[name] ?? "";
  byId("clear-filters").hidden = Object.keys(filters).length === 0;
}

function fill(select, values, words, chosen) {
  const all = chosen && !values.includes(chosen) ? [...values, chosen] : values;
  const options = all.map((value) => make("option", { value }, words(value)));
  select.replaceChildren(make("option", { value: "" }, "all"), ...options);
}

function chosenFilters() {
  const chosen = FILTERS.map((name) => [name, form.elements[name].value]);
  return Object.fromEntries(chosen.filter(([name, value]) => value && value !== DEFAULTS[name]));
}

/** Returns the filters in words: "in photos, re-encoded, rank up to 10". */
export function filterWords(filters) {
  const words = [];
  if (filters.state === "later") words.push("for later");
  if (filters.folder) words.push(`in ${filters.folder}`);
  if (filters.kind) words.push(kindWords(filters.kind));
  if (filters.max_rank) words.push(`rank up to ${filters.max_rank}`);
  return words.join(", ");
}
