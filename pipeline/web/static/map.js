// A map of a collection: passages as points that can be panned, zoomed, hovered and opened.
//
// mountMap(element, data, options) -> view. `data` is what pipeline.map.map_json gives; docs/map.md describes it. Used by
// the search page and inside the page that `pipeline collections map` writes. Makes no request, needs no other file but
// those that it imports and map.css, and puts texts in by textContent and canvas only.

import { EXTENT, Grid, bounds } from "./map_grid.js";
import { Labels, channels, covers, mixed, shortened } from "./map_labels.js";
import { Painter } from "./map_painter.js";

const CLOSEST = 60; // how many times the whole map can be enlarged
const REACH = 12; // pixels around the pointer in which a point is found
const FETCH_DELAY = 70; // milliseconds that the pointer rests before a passage is fetched
const MOVE_TIME = 320;
const REST = 140; // milliseconds without a movement after which all is drawn that was left out for speed
const COLORINGS = { cluster: "Topics", document: "Documents", folder: "Folders" };
const KEYS = "Arrows move, plus and minus zoom, 0 shows all, N and P go from passage to passage, Enter opens, Escape lets go.";

export function mountMap(element, data, options = {}) {
  return new MapView(element, data, options);
}

class MapView {
  constructor(element, data, options) {
    this.data = data;
    this.options = options;
    this.count = data.points.x.length;
    this.color = options.color in COLORINGS ? options.color : "cluster";
    this.query = null;
    this.hovered = this.selected = null;
    this.only = null; // the colour that alone is shown strongly
    this.passages = new Map();
    this.pointers = new Map();
    this.names = new Labels();
    this.grid = new Grid(data.points.x, data.points.y);
    const [left, right, top, bottom] = bounds(data.points.x, data.points.y);
    this.center = [(left + right) / 2, (top + bottom) / 2];
    this.extent = [Math.max(right - left, 1), Math.max(bottom - top, 1)];
    this.stop = new AbortController();
    this.build(element);
    this.listen();
    this.setColor(this.color);
    this.fit();
  }

  // What a caller may use.

  setColor(coloring) {
    this.color = coloring;
    this.only = null;
    for (const button of this.choices.children) button.setAttribute("aria-pressed", String(button.value === coloring));
    this.named = null;
    this.fillLegend();
    this.tint();
  }

  setQuery(query) {
    this.query = query;
    this.tint();
    if (query) this.show([query, ...query.hits]);
  }

  select(point, { move = true } = {}) {
    this.selected = point;
    this.hovered = null;
    if (point !== null && move) this.moveTo(this.data.points.x[point], this.data.points.y[point], this.scale);
    this.describe();
    this.draw();
  }

  reset() {
    this.moveTo(...this.center, this.least());
  }

  destroy() {
    this.stop.abort();
    this.sizes.disconnect();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.waiting);
    clearTimeout(this.resting);
    this.painter.destroy();
    this.element.replaceChildren();
    this.element.classList.remove("map");
  }

  // Making.

  build(element) {
    this.element = element;
    element.classList.add("map");
    this.stage = make("div", "map-stage", { tabIndex: 0 });
    this.stage.setAttribute("role", "application");
    this.stage.setAttribute("aria-label", `Map of ${this.data.shown} passages of collection ${this.data.collection}. ${KEYS}`);
    this.painter = new Painter(this.stage, this.data.points, this.grid.points, () => this.tint());
    this.marks = make("canvas", "map-marks");
    this.marks.setAttribute("aria-hidden", "true");
    this.stage.append(this.marks);
    this.choices = make("div", "map-choices", {}, Object.entries(COLORINGS).map(([value, text]) => make("button", "", { value, type: "button", textContent: text })));
    this.choices.setAttribute("role", "group");
    this.choices.setAttribute("aria-label", "Colours by");
    const zooms = [["+", "Zoom in"], ["−", "Zoom out"], ["⤢", "Show all"]].map(([text, title]) => make("button", "", { type: "button", textContent: text, title, ariaLabel: title }));
    this.zooms = make("div", "map-zooms", {}, zooms);
    this.legend = make("ul", "map-legend");
    this.legend.setAttribute("aria-label", "Legend");
    this.card = make("section", "map-card", { hidden: true });
    this.card.setAttribute("aria-label", "Passage");
    this.said = make("p", "map-said");
    this.said.setAttribute("aria-live", "polite");
    this.note = make("p", "map-note", { textContent: this.about() });
    this.panel = make("div", "map-panel", {}, [this.choices, this.legend]);
    element.replaceChildren(this.stage, this.panel, this.zooms, this.note, this.card, this.said);
  }

  about() {
    const { shown, passages, projection, notices } = this.data;
    const part = shown < passages ? `a sample of ${number(shown)} of ${number(passages)} passages` : `${number(shown)} passages`;
    const kept = projection.kept === null ? "" : `, ${Math.round(projection.kept * 100)} % of nearest neighbours kept`;
    return [`${part}; ${projection.method}${kept}.`, ...notices].join(" ");
  }

  listen() {
    const { signal } = this.stop;
    const on = (target, kind, handler, more = {}) => target.addEventListener(kind, handler, { signal, ...more });
    on(this.stage, "pointerdown", (event) => this.pressed(event));
    on(this.stage, "pointermove", (event) => this.moved(event));
    for (const kind of ["pointerup", "pointercancel"]) on(this.stage, kind, (event) => this.released(event));
    on(this.stage, "pointerleave", () => this.hover(null));
    on(this.stage, "dblclick", (event) => this.zoom(2, ...this.place(event)));
    on(this.stage, "keydown", (event) => this.key(event));
    on(this.stage, "focus", () => this.draw());
    on(this.stage, "blur", () => this.draw());
    on(this.stage, "wheel", (event) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 24 : 1;
      this.zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0018)), ...this.place(event));
    }, { passive: false });
    on(this.choices, "click", (event) => event.target.value && this.setColor(event.target.value));
    const [closer, further, all] = this.zooms.children;
    on(closer, "click", () => this.zoomTo(1.6));
    on(further, "click", () => this.zoomTo(1 / 1.6));
    on(all, "click", () => this.reset());
    for (const setting of ["(prefers-color-scheme: dark)", "(prefers-reduced-motion: reduce)"]) on(matchMedia(setting), "change", () => this.restyle());
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(this.stage);
    this.themes = new MutationObserver(() => this.restyle());
    this.themes.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    signal.addEventListener("abort", () => this.themes.disconnect());
  }

  restyle() {
    this.looks();
    this.fillLegend();
    this.tint();
  }

  // The colours of the page around; labels are written anew in them.
  looks() {
    const { color, backgroundColor } = getComputedStyle(this.element);
    this.ink = color;
    this.ground = backgroundColor;
    this.names.forget();
    this.named = null;
  }

  get dark() {
    const theme = document.documentElement.dataset.theme;
    return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  get palette() {
    return this.dark ? this.data.palette.dark : this.data.palette.light;
  }

  colorOf(point) {
    const { points, documents, folders, clusters, topics } = this.data;
    if (this.color === "cluster") return topics[clusters[points.cluster[point]].topic].color;
    const written = documents[points.document[point]];
    return this.color === "document" ? written.color : folders[written.folder].color;
  }

  fillLegend() {
    const groups = { cluster: this.data.topics, document: this.data.documents, folder: this.data.folders }[this.color];
    const entries = groups.filter((group) => group.color >= 0).sort((one, other) => other.size - one.size)
      .map((group) => [group.color, group.label ?? group.name, group.size]);
    const others = groups.filter((group) => group.color < 0);
    if (others.length) entries.push([-1, `${number(others.length)} more`, others.reduce((sum, group) => sum + group.size, 0)]);
    this.legend.replaceChildren(...entries.map(([color, text, size]) => {
      const swatch = make("span", "map-swatch");
      swatch.style.background = this.palette.at(color);
      const button = make("button", "", { type: "button", title: `Show only: ${text}` }, [swatch, make("span", "map-name", { textContent: text }), make("span", "map-size", { textContent: number(size) })]);
      button.setAttribute("aria-pressed", String(this.only === color));
      button.addEventListener("click", () => {
        this.only = this.only === color ? null : color;
        for (const each of this.legend.querySelectorAll("button")) each.setAttribute("aria-pressed", String(each === button && this.only !== null));
        this.tint();
      });
      return make("li", "", {}, [button]);
    }));
  }

  // Colours and opacities of all points, anew.
  tint() {
    const colors = this.palette.map(channels);
    const strong = this.count > 20000 ? 190 : 220;
    const weak = this.query || this.only !== null ? 50 : strong;
    const hits = new Set(this.query?.hits.map((hit) => hit.point));
    const tints = new Uint8Array(4 * this.count);
    for (let point = 0; point < this.count; point++) {
      const color = this.colorOf(point);
      const chosen = this.only !== null ? color === this.only : hits.has(point);
      tints.set(colors.at(color), 4 * point);
      tints[4 * point + 3] = chosen ? 255 : weak;
    }
    this.painter.tint(tints);
    this.draw();
  }

  // Where we look: `x`, `y` is in the middle of what the panel leaves free, `scale` pixels are a unit.

  resize() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    const before = this.width ? this.least() : 0;
    this.width = width;
    this.height = height;
    const panel = this.panel.offsetWidth < width / 2 ? [this.panel.offsetWidth, 0] : [0, this.panel.offsetHeight];
    this.room = [width - panel[0], height - panel[1]];
    this.middle = [panel[0] + this.room[0] / 2, panel[1] + this.room[1] / 2];
    this.ratio = Math.min(devicePixelRatio || 1, 2);
    this.marks.width = width * this.ratio;
    this.marks.height = height * this.ratio;
    this.painter.resize(width, height, this.ratio);
    this.looks();
    this.scale = before ? (this.scale * this.least()) / before : this.least();
    this.paint();
  }

  fit() {
    [this.x, this.y] = this.center;
    this.width = 0;
    this.resize();
  }

  least() {
    return 0.86 * Math.max(0.001, Math.min(this.room[0] / this.extent[0], this.room[1] / this.extent[1]));
  }

  zoom(factor, x, y) {
    const scale = this.bounded(this.scale * factor);
    this.x += (x - this.middle[0]) * (1 / this.scale - 1 / scale);
    this.y += (y - this.middle[1]) * (1 / this.scale - 1 / scale);
    this.scale = scale;
    this.held();
    this.drawMoving();
  }

  zoomTo(factor) {
    this.moveTo(this.x, this.y, this.scale * factor);
  }

  pan(dx, dy) {
    this.x -= dx / this.scale;
    this.y -= dy / this.scale;
    this.held();
    this.drawMoving();
  }

  bounded(scale) {
    return Math.min(Math.max(scale, this.least() * 0.7), this.least() * CLOSEST);
  }

  // Keeps some of the map in sight, and ends a movement that goes on by itself.
  held() {
    this.move = null;
    this.x = Math.min(Math.max(this.x, 0), EXTENT);
    this.y = Math.min(Math.max(this.y, 0), EXTENT);
  }

  moveTo(x, y, scale) {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.move = { from: [this.x, this.y, Math.log(this.scale)], to: [x, y, Math.log(this.bounded(scale))], start: still ? -Infinity : null };
    this.draw();
  }

  // Moves to where all these places can be seen.
  show(places) {
    const [left, right, top, bottom] = bounds(places.map((place) => place.x), places.map((place) => place.y));
    const scale = 0.6 * Math.min(this.room[0] / (right - left + 1), this.room[1] / (bottom - top + 1));
    this.moveTo((left + right) / 2, (top + bottom) / 2, Math.min(scale, this.least() * 4));
  }

  screen(x, y) {
    return [(x - this.x) * this.scale + this.middle[0], (y - this.y) * this.scale + this.middle[1]];
  }

  nearest([left, top], reach = REACH) {
    return this.grid.nearest((left - this.middle[0]) / this.scale + this.x, (top - this.middle[1]) / this.scale + this.y, reach / this.scale);
  }

  place(event) {
    const box = this.stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  // Pointer and keys.

  pressed(event) {
    if (event.button) return;
    this.stage.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.place(event));
    this.dragged = this.pointers.size > 1;
  }

  moved(event) {
    const before = this.pointers.get(event.pointerId), now = this.place(event);
    if (!before) {
      this.hover(this.nearest(now));
      return;
    }
    if (!this.dragged && Math.hypot(now[0] - before[0], now[1] - before[1]) < 4) return;
    this.dragged = true;
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    this.pointers.set(event.pointerId, now);
    if (!others.length) {
      this.pan(now[0] - before[0], now[1] - before[1]);
      return;
    }
    const [fixed] = others;
    this.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    const apart = (place) => Math.max(1, Math.hypot(place[0] - fixed[0], place[1] - fixed[1]));
    this.zoom(apart(now) / apart(before), (now[0] + fixed[0]) / 2, (now[1] + fixed[1]) / 2);
  }

  released(event) {
    if (!this.pointers.delete(event.pointerId) || this.dragged || event.type === "pointercancel") return;
    const point = this.nearest(this.place(event), event.pointerType === "touch" ? 2 * REACH : REACH);
    this.select(point, { move: false });
    if (point !== null) this.open(point);
  }

  hover(point) {
    if (point === this.hovered) return;
    this.hovered = point;
    this.stage.classList.toggle("map-over", point !== null);
    this.describe();
    this.draw();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = Math.min(this.width, this.height) / 8;
    const actions = {
      ArrowLeft: () => this.pan(step, 0),
      ArrowRight: () => this.pan(-step, 0),
      ArrowUp: () => this.pan(0, step),
      ArrowDown: () => this.pan(0, -step),
      "+": () => this.zoomTo(1.6),
      "=": () => this.zoomTo(1.6),
      "-": () => this.zoomTo(1 / 1.6),
      0: () => this.reset(),
      n: () => this.step(1),
      p: () => this.step(-1),
      Enter: () => this.selected !== null && this.open(this.selected),
      Escape: () => this.select(null),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  // The next hit; where there is no query the next passage of the document, or the one in the middle to begin with.
  step(by) {
    const { document: owner } = this.data.points;
    const points = this.query
      ? this.query.hits.map((hit) => hit.point).filter((point) => point !== null)
      : this.selected === null ? [] : [...owner.keys()].filter((point) => owner[point] === owner[this.selected]);
    if (!points.length) {
      this.select(this.nearest(this.middle, this.width + this.height));
      return;
    }
    const at = points.indexOf(this.selected);
    this.select(points[at < 0 ? 0 : (at + by + points.length) % points.length]);
  }

  async open(point) {
    if (this.options.onOpen) this.options.onOpen(point, await this.passage(point));
  }

  // What is said of a point.

  async passage(point) {
    if (!this.passages.has(point)) {
      const known = { path: this.data.documents[this.data.points.document[point]].path, text: "" };
      const fetched = Promise.resolve(this.options.passage?.(point)).then((passage) => ({ ...known, ...passage }));
      this.passages.set(point, fetched);
      fetched.catch(() => this.passages.delete(point));
    }
    return this.passages.get(point);
  }

  describe() {
    clearTimeout(this.waiting);
    const point = this.hovered ?? this.selected;
    if (point === null) {
      this.card.hidden = true;
      return;
    }
    const written = this.data.documents[this.data.points.document[point]];
    const topic = this.data.clusters[this.data.points.cluster[point]].label;
    const fill = (passage) => {
      if (point !== (this.hovered ?? this.selected)) return;
      const lines = passage.start_line ? `:${passage.start_line}${passage.end_line > passage.start_line ? `-${passage.end_line}` : ""}` : "";
      const title = make("strong", "", { textContent: `${written.name}${lines}${passage.page ? `, page ${passage.page}` : ""}` });
      const parts = [title, make("span", "map-place", { textContent: passage.heading || topic }), make("p", "", { textContent: passage.text })];
      this.card.replaceChildren(...parts);
      this.card.title = passage.path;
      this.card.classList.toggle("map-pinned", this.hovered === null || this.hovered === this.selected);
      this.card.hidden = false;
      this.placeCard();
      if (point === this.selected) this.said.textContent = `${title.textContent}. ${passage.text.slice(0, 300)}`;
    };
    fill({ path: written.path, text: "" });
    this.waiting = setTimeout(() => this.passage(point).then(fill, (error) => fill({ path: written.path, text: String(error.message ?? error) })), FETCH_DELAY);
  }

  placeCard() {
    const point = this.hovered ?? this.selected;
    if (point === null || this.card.hidden) return;
    const [left, top] = this.screen(this.data.points.x[point], this.data.points.y[point]);
    const { offsetWidth: width, offsetHeight: height } = this.card;
    const beside = left + 18 + width < this.width ? left + 18 : left - 18 - width;
    this.card.style.left = `${Math.round(Math.min(Math.max(beside, 8), Math.max(8, this.width - width - 8)))}px`;
    this.card.style.top = `${Math.round(Math.min(Math.max(top - 20, 8), Math.max(8, this.height - height - 8)))}px`;
  }

  // Drawing.

  draw() {
    this.frame ??= requestAnimationFrame((now) => {
      this.frame = null;
      this.advance(now);
      this.paint();
    });
  }

  advance(now) {
    const { move } = this;
    if (!move) return;
    move.start ??= now;
    const share = Math.min(1, (now - move.start) / MOVE_TIME), eased = 1 - (1 - share) ** 3;
    const [x, y, scale] = move.from.map((from, at) => from + (move.to[at] - from) * eased);
    Object.assign(this, { x, y, scale: Math.exp(scale) });
    if (share === 1) this.move = null;
    else this.drawMoving();
  }

  // Draws, with what is left out where that takes long, and the whole once nothing moves any more.
  drawMoving() {
    this.moving = true;
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      this.moving = false;
      this.draw();
    }, REST);
    this.draw();
  }

  paint() {
    if (!this.width || !this.height) return;
    const enlarged = this.scale / this.least();
    const narrow = Math.min(1, Math.max(0.6, this.room[0] / 800));
    this.radius = Math.min(7, Math.max(1.1, (90 * narrow) / Math.sqrt(this.count + 200)) * Math.max(1, enlarged) ** 0.4);
    this.painter.paint(this, this.radius);
    // One canvas less to put together in each frame, where the points are on one that can be written on.
    const { pen } = this.painter.plain ? this.painter : { pen: this.marks.getContext("2d") };
    this.marks.style.display = this.painter.plain ? "none" : "";
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    if (!this.painter.plain) pen.clearRect(0, 0, this.width, this.height);
    const taken = this.paintQuery(pen);
    this.paintLabels(pen, taken);
    for (const point of new Set([this.selected, this.hovered])) if (point !== null) this.ring(pen, this.data.points.x[point], this.data.points.y[point], this.radius + 4, this.ink, 2);
    this.placeCard();
  }

  ring(pen, x, y, radius, color, width) {
    pen.beginPath();
    pen.arc(...this.screen(x, y), radius, 0, 2 * Math.PI);
    pen.lineWidth = width + 2;
    pen.strokeStyle = this.ground;
    pen.stroke();
    pen.lineWidth = width;
    pen.strokeStyle = color;
    pen.stroke();
  }

  // The query as a cross, its hits as numbered rings with a line to each; gives the boxes that they take.
  paintQuery(pen) {
    if (!this.query) return [];
    const [left, top] = this.screen(this.query.x, this.query.y);
    const accent = this.dark ? "#ffb454" : "#c2410c";
    const taken = [[left - 10, top - 10, left + 10, top + 10]];
    pen.strokeStyle = accent;
    pen.globalAlpha = 0.45;
    pen.lineWidth = 1;
    for (const hit of this.query.hits) {
      pen.beginPath();
      pen.moveTo(left, top);
      pen.lineTo(...this.screen(hit.x, hit.y));
      pen.stroke();
    }
    pen.globalAlpha = 1;
    for (const hit of [...this.query.hits].reverse()) {
      const [x, y] = this.screen(hit.x, hit.y);
      this.ring(pen, hit.x, hit.y, this.radius + 3, accent, 2);
      taken.push([x - this.radius - 5, y - this.radius - 5, x + this.radius + 5, y + this.radius + 5]);
      const rank = this.label(String(hit.rank), "600 11px system-ui, sans-serif", accent);
      taken.push(rank.put(pen, x + this.radius + 10, y - this.radius - 6));
    }
    for (const [width, color] of [[7, this.ground], [3.5, accent]]) {
      pen.lineWidth = width;
      pen.strokeStyle = color;
      pen.lineCap = "round";
      pen.beginPath();
      for (const [dx, dy] of [[-8, 0], [0, -8]]) {
        pen.moveTo(left + dx, top + dy);
        pen.lineTo(left - dx, top - dy);
      }
      pen.stroke();
    }
    const text = this.label(shortened(this.query.text, 48), "600 13px system-ui, sans-serif", accent);
    const free = [-26, 26, -50, 50, -74, 74].find((lift) => !covers(text.box(left, top + lift), taken));
    taken.push(text.put(pen, left, top + (free ?? -26)));
    return taken;
  }

  labels() {
    const { topics, clusters, labels } = this.data;
    if (this.color !== "cluster") return labels[this.color].map((each) => ({ ...each, font: "600 12px system-ui, sans-serif" }));
    const named = topics.map((topic) => ({ ...topic, font: "650 14px system-ui, sans-serif" }));
    return [...named, ...clusters.map((cluster) => ({ ...cluster, color: topics[cluster.topic].color, font: "500 12px system-ui, sans-serif" }))];
  }

  label(text, font, ink) {
    return this.names.of(text, { font, ink, ground: this.ground }, this.ratio);
  }

  // Names, the most important first, each where it covers no other.
  paintLabels(pen, taken) {
    // Above the points where these are large, on them where they are dots.
    const lift = this.radius > 3 ? this.radius + 12 : 0;
    this.named ??= this.labels().map(({ label, font, color, x, y }) => ({ x, y, written: this.label(label, font, mixed(this.palette.at(color), this.dark ? 255 : 20)) }));
    for (const { x: across, y: down, written } of this.named) {
      const [x, below] = this.screen(across, down), y = below - lift;
      if (x < 0 || y < 0 || x > this.width || y > this.height) continue;
      if (!covers(written.box(x, y), taken)) taken.push(written.put(pen, x, y));
    }
  }
}

function make(name, style, properties = {}, children = []) {
  const element = Object.assign(document.createElement(name), properties);
  if (style) element.className = style;
  element.append(...children);
  return element;
}

function number(value) {
  return value.toLocaleString("en");
}
