// Builds elements. Text from the server becomes text nodes only, never HTML.

export const byId = (id) => document.getElementById(id);

/**
 * Returns a new element. Keys with a dash, and "role", are attributes; "dataset" sets data
 * attributes; all other keys are properties. Children are nodes or text; null is left out.
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name === "dataset") Object.assign(element.dataset, value);
    else if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Returns an icon of icons.svg. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const use = document.createElementNS(space, "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** Returns whether a key press in this element is text or a choice, not a command. */
export function takesKeys(element) {
  return element.matches?.("input:not([type=checkbox], [type=range]), select, textarea") ?? false;
}

/** Asks a question in a dialog. Returns whether the person confirmed. */
export function confirmed(title, words, button) {
  const dialog = make(
    "dialog",
    { className: "dialog", "aria-label": title },
    make("h2", {}, title),
    ...[words].flat().map((text) => make("p", {}, text)),
    make(
      "form",
      { method: "dialog", className: "dialog-buttons" },
      make("button", { className: "button", value: "cancel" }, "Cancel"),
      make("button", { className: "button primary", value: "confirm" }, button),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "confirm");
    });
  });
}
