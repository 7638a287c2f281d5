// The overview: what "snoopsync status" says, kept up to date.

import { get } from "./api.js";
import { byId, make } from "./dom.js";
import { bytes, count, moment } from "./format.js";
import { watchChanges } from "./live.js";
import { toastError } from "./toast.js";

async function show() {
  const status = await get("/api/overview");
  byId("overview").replaceChildren(...[state(status), progress(status.progress), figures(status), folders(status.folders), parts(status)].filter(Boolean));
}

function state({ in_sync: isInSync, reasons }) {
  return make(
    "section",
    { className: "panel", "aria-label": "State" },
    make("p", { className: "state-words" }, make("span", { className: isInSync ? "dot" : "dot bad" }), isInSync ? "Everything is mirrored" : "Not everything is mirrored"),
    reasons?.length ? make("ul", { className: "reasons" }, reasons.map((reason) => make("li", {}, reason))) : null,
  );
}

function progress(now) {
  if (!now?.total) return null;
  return make(
    "section",
    { className: "panel" },
    make("p", {}, `${now.done.toLocaleString("en")} of ${count(now.total, "image")}`),
    make("progress", { max: now.total, value: now.done, "aria-label": "Progress" }),
  );
}

function figures(status) {
  const figure = (number, words, href) =>
    make("div", { className: "panel" }, make("p", { className: "figure-number" }, number), make(href ? "a" : "p", href ? { href } : { className: "quiet" }, words));
  const shown = [
    figure(status.groups_to_decide.toLocaleString("en"), status.groups_to_decide === 1 ? "group to decide" : "groups to decide", "/"),
    status.marks ? figure(status.marks.count.toLocaleString("en"), `marked, ${bytes(status.marks.bytes)}`, "/marked") : null,
    figure(status.to_compare.toLocaleString("en"), "images to compare"),
    figure(sum(status.folders, "failed"), "failed", "/failed"),
    figure(sum(status.folders, "held_deletes"), "held deletions", "/held"),
  ];
  return make("section", { className: "figures", "aria-label": "Figures" }, shown);
}

const sum = (folders, name) => folders.reduce((all, folder) => all + (folder[name] ?? 0), 0).toLocaleString("en");

function folders(rows) {
  const columns = ["Folder", "State", "Images", "Waiting", "Failed", "Held", "Last scan"];
  const body = rows.map((folder) =>
    make(
      "tr",
      {},
      make("th", { scope: "row", title: folder.path }, folder.name),
      make("td", { className: folder.state === "ok" || folder.state === "scanning" ? "" : "warning" }, folder.reason ? `${folder.state}: ${folder.reason}` : folder.state),
      ...[folder.images, folder.pending, folder.failed, folder.held_deletes].map((number) => make("td", {}, (number ?? 0).toLocaleString("en"))),
      make("td", {}, moment(folder.last_scan) ?? "–"),
    ),
  );
  const head = make("tr", {}, columns.map((words) => make("th", { scope: "col" }, words)));
  return make(
    "section",
    { className: "panel table-frame", "aria-label": "Folders" },
    make("table", { className: "table" }, make("thead", {}, head), make("tbody", {}, body)),
  );
}

function parts({ service, collection }) {
  const running = service.running ? `running, process ${service.pid}, version ${service.version}` : "not running";
  const reached = collection.last_error ?? (collection.reachable === false ? "not reachable" : "reachable");
  const rows = [
    ["Service", running],
    ["Collection", collection.endpoint ?? "built in"],
    ["Connection", reached],
  ].map(([name, words]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, words)));
  return make("section", { className: "panel table-frame", "aria-label": "Service and collection" }, make("table", { className: "table" }, make("tbody", {}, rows)));
}

show().catch(toastError);
watchChanges(show);
