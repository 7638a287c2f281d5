// The page of the held deletions: look at the pictures, then approve or discard.

import { get, post } from "./api.js";
import { emptyWords, imageCard } from "./card.js";
import { byId, confirmed, make } from "./dom.js";
import { count } from "./format.js";
import { watchChanges } from "./live.js";
import { toast, toastError } from "./toast.js";

async function show() {
  const { folders } = await get("/api/held");
  byId("folders").replaceChildren(...folders.map(folderPanel));
  byId("lead").hidden = folders.length === 0;
  byId("list-end").replaceChildren(
    folders.length ? "" : emptyWords("No deletion is held", "If many files disappear at once, you decide here."),
  );
}

function folderPanel(held) {
  const { folder, images } = held;
  const button = (words, className, run) => {
    const made = make("button", { type: "button", className }, words);
    made.addEventListener("click", () => run(held).catch(toastError));
    return made;
  };
  const rest = held.count - images.length;
  return make(
    "section",
    { className: "panel", dataset: { folder }, "aria-label": `Held deletions of ${folder}` },
    make(
      "div",
      { className: "panel-head" },
      make("div", {}, make("h2", {}, `${folder}: ${count(held.count, "deletion")}`), make("p", { className: "quiet" }, held.reason ?? "")),
      make("div", { className: "buttons" }, button("Keep the images", "button", discard), button("Delete the images", "button primary", approve)),
    ),
    make("ul", { className: "cards small" }, images.map((image) => imageCard(image))),
    rest > 0 ? make("p", { className: "quiet" }, `and ${rest.toLocaleString("en")} more`) : null,
  );
}

async function approve({ folder, count: number }) {
  const words = "The files are gone from your folder already. Their images are deleted from the collection too. This cannot be undone.";
  if (!(await confirmed(`Delete ${count(number, "image")} of ${folder}?`, words, "Delete the images"))) return;
  await post("/api/held/approve", { folder });
  toast(`Approved: ${count(number, "deletion")} of ${folder}.`);
  await show();
}

async function discard({ folder, count: number }) {
  const words = "The images stay in the collection, and snoopsync forgets them. It does not list them any more. This cannot be undone.";
  if (!(await confirmed(`Keep ${count(number, "image")} of ${folder}?`, words, "Keep the images"))) return;
  await post("/api/held/discard", { folder });
  toast(`Discarded: ${count(number, "deletion")} of ${folder}.`);
  await show();
}

show().catch(toastError);
watchChanges(show);
