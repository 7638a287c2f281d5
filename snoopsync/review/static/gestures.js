// Wheel, drag and pinch on the stage, as moves of the view.

const WHEEL_STEP = 0.0015;
const LINE_PX = 16;

/**
 * Reports gestures on an element: ``zoomBy(factor, x, y)`` at a point of the window, ``panBy(dx,
 * dy)`` in pixels, and ``tap`` for a press without a move.
 */
export function watchGestures(element, { zoomBy, panBy, tap }) {
  const pointers = new Map();
  let moved = 0;

  element.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const px = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * LINE_PX : event.deltaY;
      zoomBy(Math.exp(-px * WHEEL_STEP), event.clientX, event.clientY);
    },
    { passive: false },
  );

  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest("input, button")) return;
    if (pointers.size === 0) moved = 0;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    element.setPointerCapture(event.pointerId);
  });

  element.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    moved += Math.hypot(now.x - before.x, now.y - before.y);
    if (other) {
      const factor = distance(now, other) / Math.max(1, distance(before, other));
      zoomBy(factor, (now.x + other.x) / 2, (now.y + other.y) / 2);
      panBy((now.x - before.x) / 2, (now.y - before.y) / 2);
    } else {
      panBy(now.x - before.x, now.y - before.y);
    }
    pointers.set(event.pointerId, now);
  });

  for (const type of ["pointerup", "pointercancel"]) {
    element.addEventListener(type, (event) => {
      if (!pointers.delete(event.pointerId)) return;
      if (type === "pointerup" && pointers.size === 0 && moved < 5) tap?.(event);
    });
  }
}

const distance = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);
