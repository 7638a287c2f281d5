// Numbers, dates, kinds and reasons in words.

const KINDS = {
  identical: "identical",
  reencoded: "re-encoded",
  recoloured: "recoloured",
  edited: "edited",
  rotated: "rotated",
  mirrored: "mirrored",
  bordered: "with a border",
  cropped: "cropped",
};

const REASONS = {
  "more-pixels": "it has more pixels",
  "camera-metadata": "it has the metadata of the camera",
  "less-compressed": "it is less compressed",
  lossless: "its format is lossless",
  "true-colour": "it has full colours",
  "preferred-folder": "it is in a preferred folder",
  older: "it is the older one",
  "configured-first": "its folder comes first in the configuration",
  "shorter-path": "it has the shorter path",
  "first-path": "its path sorts first",
};

const ROLES = {
  raw: "RAW file",
  rendered: "picture made from the RAW file",
  edit: "edited version",
  original: "original",
  video: "video",
  sidecar: "sidecar",
};

/** How much of "2020-02-02 10:00:07.250" is shown. */
const [TO_MINUTE, TO_SECOND, TO_MILLISECOND] = [16, 19, 23];

const UNITS = ["bytes", "kB", "MB", "GB", "TB"];

export const kindWords = (kind) => KINDS[kind] ?? kind;
export const reasonWords = (reason) => REASONS[reason] ?? reason?.replaceAll("-", " ");

/** Returns a companion in words: "IMG_1.CR2 (RAW file)". */
export const companionWords = ({ name, role }) => `${name} (${ROLES[role] ?? role})`;

/** Returns how much of a group can be freed; of a series, nothing. */
export const wasteWords = (group) => (group.series ? "a series" : `${bytes(group.waste_bytes)} can be freed`);

/** Returns "1 picture" or "2 pictures". */
export function count(number, word, plural = `${word}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? word : plural}`;
}

/** Returns a number of bytes in decimal units: "1.2 MB". */
export function bytes(number) {
  if (number === null || number === undefined) return "size unknown";
  let value = number;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** Returns "4000 × 3000", or null if the pixels are unknown. */
export function pixels(image) {
  return image.width && image.height ? `${image.width} × ${image.height}` : null;
}

/** Returns a day and time of the person's time zone, from ISO 8601 or seconds since 1970. */
export const moment = (time) => moments(time, null)[0];

/** Returns two times as ``moment`` does, with as much of the second as tells them apart. */
export function moments(one, other) {
  const exact = [exactMoment(one), exactMoment(other)];
  const cut = (length) => exact.map((text) => text?.slice(0, length) ?? null);
  return [TO_MINUTE, TO_SECOND, TO_MILLISECOND].map(cut).find(([a, b]) => a !== b) ?? cut(TO_MINUTE);
}

function exactMoment(time) {
  const at = dateOf(time);
  if (at === null) return null;
  const digits = (number, length = 2) => String(number).padStart(length, "0");
  const day = [at.getFullYear(), digits(at.getMonth() + 1), digits(at.getDate())].join("-");
  const hour = [at.getHours(), at.getMinutes(), at.getSeconds()].map((each) => digits(each)).join(":");
  return `${day} ${hour}.${digits(at.getMilliseconds(), 3)}`;
}

export function dateOf(time) {
  if (time === null || time === undefined || time === "") return null;
  const at = typeof time === "number" ? new Date(time * 1000) : new Date(time);
  return Number.isNaN(at.getTime()) ? null : at;
}

/** Returns kind and rank in words: "re-encoded · rank 3". */
export function relation(image) {
  if (image.kind === null || image.kind === undefined) return null;
  return image.rank === null || image.rank === undefined || image.kind === "identical"
    ? kindWords(image.kind)
    : `${kindWords(image.kind)} · rank ${image.rank}`;
}

/** Returns the name of an image for people: of a file, or of an image of another machine. */
export const nameOf = (image) => image.name || image.label || image.image_id;

/** Returns where an image is: "photos/2019/Rome", or on another machine. */
export function placeOf(image) {
  if (image.path === null || image.path === undefined) return "on another machine";
  return [image.folder, image.directory].filter(Boolean).join("/");
}

/** Returns the name of a decision that was made. */
export const decisionWords = {
  dismiss: "not duplicates",
  keep: "keep one, mark the others",
  later: "later",
  restore: "restored",
  open: "to decide again",
  trash: "moved to the trash",
  unmark: "unmarked",
};
