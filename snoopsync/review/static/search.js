// "Have I got this one?": drop, paste or choose a picture, and see what is like it.

import { postFile } from "./api.js";
import { imageCard } from "./card.js";
import { byId } from "./dom.js";
import { count } from "./format.js";
import { watchChanges } from "./live.js";

let shownAddress = null;
let asked = null;

async function search(file) {
  if (!file) return;
  asked = file;
  showAsked(file);
  byId("results").replaceChildren();
  byId("answer").textContent = "Searching…";
  try {
    const { results } = await postFile("/api/search", file);
    if (asked !== file) return;
    byId("answer").textContent = results.length
      ? `Yes: ${count(results.length, "picture")} ${results.length === 1 ? "is" : "are"} the same or alike.`
      : "No. The collection has no picture like this one.";
    byId("results").replaceChildren(
      ...results.map((image) => imageCard(image, { href: image.group ? `/group/${image.group}` : null })),
    );
  } catch (error) {
    if (asked === file) byId("answer").textContent = error.message;
  }
}

function showAsked(file) {
  if (shownAddress) URL.revokeObjectURL(shownAddress);
  shownAddress = URL.createObjectURL(file);
  const picture = byId("asked");
  picture.hidden = false;
  picture.onerror = () => (picture.hidden = true);
  picture.src = shownAddress;
}

const drop = byId("drop");
addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
addEventListener("dragleave", (event) => !event.relatedTarget && drop.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  search(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => search(event.clipboardData.files[0]));
byId("choose").addEventListener("change", (event) => search(event.target.files[0]));
watchChanges(() => {});
