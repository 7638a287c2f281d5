// What differs between two images, row by row, with words for the larger, older or better one.

import { bytes, companionWords, dateOf, moments, nameOf, pixels, placeOf, relation } from "./format.js";

/**
 * Returns the rows of the table of facts: {label, left, right, differs, leftNote, rightNote}. Rows
 * that neither image has are left out.
 */
export function differences(left, right) {
  const area = (image) => (image.width && image.height ? image.width * image.height : null);
  const rows = [
    row("Name", nameOf(left), nameOf(right), { isPlain: true }),
    row("Folder", placeOf(left), placeOf(right), { isPlain: true }),
    row("Match", relation(left), relation(right), { isPlain: true }),
    row("Pixels", pixels(left), pixels(right), noted(area(left), area(right), "more", "fewer")),
    row("Size", bytes(left.size_bytes), bytes(right.size_bytes), noted(left.size_bytes, right.size_bytes, "larger", "smaller")),
    row("Format", left.format?.toUpperCase(), right.format?.toUpperCase(), {}),
    row("Taken", ...moments(left.taken_at, right.taken_at), noted(timeOf(left.taken_at), timeOf(right.taken_at), "later", "earlier")),
    row("Modified", ...moments(left.modified_at, right.modified_at), noted(timeOf(left.modified_at), timeOf(right.modified_at), "newer", "older")),
    row("Camera", left.camera, right.camera, {}),
    row("Companions", companionsOf(left), companionsOf(right), { isPlain: true }),
  ];
  return rows.filter((each) => each.left !== null || each.right !== null);
}

const companionsOf = (image) => image.companions?.map(companionWords).join(", ");

function row(label, left, right, { notes = [null, null], isPlain = false }) {
  return {
    label,
    left: left || null,
    right: right || null,
    differs: !isPlain && (left || null) !== (right || null),
    leftNote: notes[0],
    rightNote: notes[1],
  };
}

function noted(left, right, more, less) {
  if (left === null || right === null || left === undefined || right === undefined) return {};
  if (left === right) return {};
  return { notes: left > right ? [more, less] : [less, more] };
}

const timeOf = (time) => dateOf(time)?.getTime() ?? null;
