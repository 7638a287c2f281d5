// The page of the images that failed, each with the reason.

import { get } from "./api.js";
import { emptyWords, thumbnail } from "./card.js";
import { byId, make } from "./dom.js";
import { bytes, count, moment, nameOf, placeOf } from "./format.js";
import { watchChanges } from "./live.js";
import { toastError } from "./toast.js";

async function show() {
  const { images } = await get("/api/failed");
  byId("files").hidden = images.length === 0;
  byId("files").replaceChildren(...images.map(row));
  byId("list-end").replaceChildren(
    images.length ? count(images.length, "file") : emptyWords("No image failed", "The collection has every picture that it was sent."),
  );
}

function row(image) {
  const again = moment(image.next_try);
  const facts = [image.size_bytes === null ? null : bytes(image.size_bytes), again ? `next try ${again}` : null];
  return make(
    "li",
    { className: "row" },
    make("span", { className: "tile" }, thumbnail(image)),
    make(
      "div",
      { className: "row-words" },
      make("p", { className: "name" }, `${placeOf(image)}/${nameOf(image)}`),
      make("p", { className: "warning" }, image.error),
    ),
    make("div", { className: "row-end quiet" }, facts.filter(Boolean).join(" · ")),
  );
}

show().catch(toastError);
watchChanges(show);
