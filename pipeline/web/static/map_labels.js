// Names on a map: small pictures, each written once and put where it is needed in every frame.

const LINE = 16;

export class Labels {
  constructor() {
    this.known = new Map();
  }

  forget() {
    this.known.clear();
  }

  // `style` has font, ink and ground, the colour around the letters; `ratio` is that of the screen.
  of(text, style, ratio) {
    const key = [text, style.font, style.ink, ratio].join("\n");
    if (!this.known.has(key)) this.known.set(key, new Label(text, style, ratio));
    return this.known.get(key);
  }
}

class Label {
  constructor(text, { font, ink, ground }, ratio) {
    const rows = lines(text);
    this.picture = document.createElement("canvas");
    const pen = this.picture.getContext("2d", { willReadFrequently: true });
    pen.font = font;
    this.width = Math.ceil(Math.max(...rows.map((row) => pen.measureText(row).width))) + 8;
    this.height = rows.length * LINE + 4;
    this.ratio = ratio;
    this.picture.width = this.width * ratio;
    this.picture.height = this.height * ratio;
    pen.scale(ratio, ratio);
    // A canvas forgets its pen's settings with its size.
    Object.assign(pen, { font, textAlign: "center", textBaseline: "middle", lineJoin: "round", lineWidth: 4, strokeStyle: ground, fillStyle: ink });
    rows.forEach((row, at) => {
      const middle = 2 + LINE * (at + 0.5);
      pen.globalAlpha = 0.85;
      pen.strokeText(row, this.width / 2, middle);
      pen.globalAlpha = 1;
      pen.fillText(row, this.width / 2, middle);
    });
  }

  // What it covers, centred at a place.
  box(x, y) {
    return [x - this.width / 2, y - this.height / 2, x + this.width / 2, y + this.height / 2];
  }

  // Gives the box too.
  put(pen, x, y) {
    const box = this.box(x, y);
    // On whole pixels, where letters are sharp.
    const [left, top] = box.map((place) => Math.round(place * this.ratio) / this.ratio);
    pen.drawImage(this.picture, left, top, this.width, this.height);
    return box;
  }
}

export function covers(box, taken) {
  return taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3]);
}

export function shortened(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

// A colour of the palette, dark (or light) enough to be read.
export function mixed(color, towards) {
  return `rgb(${channels(color).map((part) => Math.round(0.55 * part + 0.45 * towards)).join(" ")})`;
}

export function channels(color) {
  return [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
}

// In lines of some words.
function lines(text) {
  const words = text.split(" ");
  const rows = [""];
  for (const word of words) {
    const row = rows.at(-1);
    if (row && row.length + word.length > 20) rows.push(word);
    else rows[rows.length - 1] = row ? `${row} ${word}` : word;
  }
  return rows.map((row) => shortened(row, 36));
}
