// Where a picture is drawn: zoom and position that several pictures share.

const MOST_ZOOM = 64;

/**
 * The part of the pictures that is seen. With ``zoom`` 1 the picture just fits; ``least`` is below
 * that for pictures whose full size is smaller. ``x`` and ``y`` are the point in the middle, as
 * shares of the picture's width and height, so that pictures of different sizes show the same part.
 */
export class Viewport {
  constructor() {
    this.least = 1;
    this.reset();
  }

  reset() {
    this.zoom = 1;
    this.x = 0.5;
    this.y = 0.5;
  }

  /** Returns whether the picture just fits. */
  get isFit() {
    return Math.abs(this.zoom - 1) < 0.001;
  }

  /** Zooms, keeping the point of the picture that is so many pixels off the pane's middle. */
  zoomBy(factor, box, dx = 0, dy = 0) {
    const zoom = Math.min(MOST_ZOOM, Math.max(this.least, this.zoom * factor));
    const width = box.width * this.zoom;
    const height = box.height * this.zoom;
    this.x += dx / width - dx / ((width * zoom) / this.zoom);
    this.y += dy / height - dy / ((height * zoom) / this.zoom);
    this.zoom = zoom;
  }

  panBy(dx, dy, box) {
    this.x -= dx / (box.width * this.zoom);
    this.y -= dy / (box.height * this.zoom);
  }

  /** Keeps the picture in the pane: it is centred where it is smaller, else it has no gap. */
  clamp(box, pane) {
    const limit = (value, drawn, room) => {
      const half = room / 2 / drawn;
      return drawn <= room ? 0.5 : Math.min(1 - half, Math.max(half, value));
    };
    this.x = limit(this.x, box.width * this.zoom, pane.width);
    this.y = limit(this.y, box.height * this.zoom, pane.height);
  }
}

/** Returns the size of a picture that just fits into a pane, and its scale. */
export function fitted(size, pane) {
  const scale = Math.min(pane.width / size.width, pane.height / size.height);
  return { width: size.width * scale, height: size.height * scale, scale };
}
