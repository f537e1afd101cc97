// Where the points of a map are.

export const EXTENT = 65535;

// Points by squares of the map, so that the nearest one is found among few.
export class Grid {
  constructor(x, y) {
    this.x = x;
    this.y = y;
    this.side = Math.max(1, Math.ceil(Math.sqrt(x.length / 2)));
    this.starts = new Uint32Array(this.side * this.side + 1);
    const cells = Uint32Array.from(x, (_, point) => this.row(y[point]) * this.side + this.row(x[point]));
    for (const cell of cells) this.starts[cell + 1]++;
    for (let cell = 0; cell < this.side * this.side; cell++) this.starts[cell + 1] += this.starts[cell];
    this.points = new Uint32Array(x.length);
    const next = this.starts.slice();
    cells.forEach((cell, point) => (this.points[next[cell]++] = point));
  }

  row(value) {
    return Math.min(this.side - 1, Math.max(0, Math.floor((value / (EXTENT + 1)) * this.side)));
  }

  // The point nearest to a place, or null where none is within `reach`.
  nearest(x, y, reach) {
    let best = null, least = reach * reach;
    for (let row = this.row(y - reach); row <= this.row(y + reach); row++) {
      const from = this.starts[row * this.side + this.row(x - reach)], to = this.starts[row * this.side + this.row(x + reach) + 1];
      for (let at = from; at < to; at++) {
        const point = this.points[at], away = (this.x[point] - x) ** 2 + (this.y[point] - y) ** 2;
        if (away <= least) [best, least] = [point, away];
      }
    }
    return best;
  }
}

export function bounds(x, y) {
  const box = [Infinity, -Infinity, Infinity, -Infinity];
  for (let at = 0; at < x.length; at++) {
    box[0] = Math.min(box[0], x[at]);
    box[1] = Math.max(box[1], x[at]);
    box[2] = Math.min(box[2], y[at]);
    box[3] = Math.max(box[3], y[at]);
  }
  return box;
}
