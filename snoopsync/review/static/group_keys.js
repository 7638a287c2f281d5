// The keys of the list of groups, and of the view that compares one.

const DIGITS = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];

/** Returns the keys of the compare view. They mean the same when the pictures are zoomed. */
export function compareKeys(compare, { moveGroup, leaveGroup }) {
  const { stage } = compare;
  const key = (keys, words, run, more = {}) => ({ keys, words, run, ...more });
  return {
    title: "Comparing a group",
    isActive: () => compare.isOpen,
    keys: [
      key(["j", "ArrowRight", "ArrowDown"], "next group", () => moveGroup(1)),
      key(["k", "ArrowLeft", "ArrowUp"], "previous group", () => moveGroup(-1)),
      key(DIGITS, "pick the one to keep", (digit) => compare.pick(Number(digit) - 1), { shown: ["1", "…", "9"] }),
      key(["x"], "keep this one, mark the others", () => compare.decide("keep")),
      key(["d"], "not duplicates", () => compare.decide("dismiss")),
      key(["l"], "later", () => compare.decide("later")),
      key(["r"], "restore the group, to decide again", () => compare.decide("restore")),
      key(["]", "["], "next, previous picture on the right", (which) => compare.step("right", which === "]" ? 1 : -1)),
      key(["}", "{"], "next, previous picture on the left", (which) => compare.step("left", which === "}" ? 1 : -1)),
      key([" "], "show the other one in the same place", () => stage.flicker()),
      key(["b"], "side by side", () => stage.setMode("side")),
      key(["s"], "slider", () => stage.switchMode("slider")),
      key(["f"], "difference", () => stage.switchMode("difference")),
      key(["z"], "whole picture or full size", () => stage.switchZoom()),
      key(["+", "="], "zoom in", () => stage.zoomStep(1), { repeats: true, shown: ["+"] }),
      key(["-"], "zoom out", () => stage.zoomStep(-1), { repeats: true }),
      key(["0"], "whole picture", () => stage.showWhole()),
      key(["Shift+ArrowLeft", "Shift+ArrowRight", "Shift+ArrowUp", "Shift+ArrowDown"], "move the zoomed pictures", (which) => pan(stage, which), { repeats: true, shown: ["Shift+←→↑↓"] }),
      key(["t"], "turn the right picture", () => stage.turn()),
      key(["h"], "mirror the right picture", () => stage.flip()),
      key(["Escape"], "back to the list", leaveGroup),
    ],
  };
}

function pan(stage, key) {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  stage.panStep(...steps[key.slice("Shift+".length)]);
}

/** Returns the keys of the list. */
export function listKeys(list, { openGroup, decide, isActive }) {
  const key = (keys, words, run, more = {}) => ({ keys, words, run, ...more });
  const withCurrent = (run) => () => list.currentGroup && run(list.currentGroup);
  return {
    title: "List of groups",
    isActive,
    keys: [
      key(["j", "ArrowRight"], "next group", () => list.move(1), { repeats: true }),
      key(["k", "ArrowLeft"], "previous group", () => list.move(-1), { repeats: true }),
      key(["ArrowDown"], "next row", () => list.move(1, { rows: true }), { repeats: true }),
      key(["ArrowUp"], "previous row", () => list.move(-1, { rows: true }), { repeats: true }),
      key(["Enter"], "open the group", withCurrent((group) => openGroup(group.group))),
      key(["x"], "keep the first one, mark the others", withCurrent((group) => decide("keep", group))),
      key(["d"], "not duplicates", withCurrent((group) => decide("dismiss", group))),
      key(["l"], "later", withCurrent((group) => decide("later", group))),
      key(["r"], "restore the group, to decide again", withCurrent((group) => group.state !== "open" && decide("restore", group))),
    ],
  };
}
