// A map of a collection: passages as points that can be panned, zoomed, hovered and opened.
//
// mountMap(element, data, options) -> view. `data` is what pipeline.map.map_json gives; docs/map.md describes it. Used by
// the search page and inside the page that `pipeline collections map` writes. Makes no request, needs no other file but
// map.css, and puts texts in by textContent and canvas only.

const EXTENT = 65535;
const CLOSEST = 60; // how many times the whole map can be enlarged
const REACH = 12; // pixels around the pointer in which a point is found
const FETCH_DELAY = 70; // milliseconds that the pointer rests before a passage is fetched
const MOVE_TIME = 320;
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
    this.painter = new Painter(this.stage, this.data.points, () => this.tint());
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
    this.fillLegend();
    this.tint();
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
    this.draw();
  }

  zoomTo(factor) {
    this.moveTo(this.x, this.y, this.scale * factor);
  }

  pan(dx, dy) {
    this.x -= dx / this.scale;
    this.y -= dy / this.scale;
    this.held();
    this.draw();
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
    else this.draw();
  }

  paint() {
    if (!this.width || !this.height) return;
    const enlarged = this.scale / this.least();
    const narrow = Math.min(1, Math.max(0.6, this.room[0] / 800));
    this.radius = Math.min(7, Math.max(1.1, (90 * narrow) / Math.sqrt(this.count + 200)) * Math.max(1, enlarged) ** 0.4);
    const looks = getComputedStyle(this.element);
    this.ink = looks.color;
    this.ground = looks.backgroundColor;
    this.painter.paint(this, this.radius);
    const pen = this.marks.getContext("2d");
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
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
      taken.push(write(pen, String(hit.rank), x + this.radius + 10, y - this.radius - 6, { font: "600 11px system-ui, sans-serif", ink: accent, ground: this.ground }));
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
    const style = { font: "600 13px system-ui, sans-serif", ink: accent, ground: this.ground };
    const text = shortened(this.query.text, 48);
    const free = [-26, 26, -50, 50, -74, 74].find((lift) => !covers(measure(pen, text, left, top + lift, style), taken));
    taken.push(write(pen, text, left, top + (free ?? -26), style));
    return taken;
  }

  labels() {
    const { topics, clusters, labels } = this.data;
    if (this.color !== "cluster") return labels[this.color].map((each) => ({ ...each, font: "600 12px system-ui, sans-serif" }));
    const named = topics.map((topic) => ({ ...topic, font: "650 14px system-ui, sans-serif" }));
    return [...named, ...clusters.map((cluster) => ({ ...cluster, color: topics[cluster.topic].color, font: "500 12px system-ui, sans-serif" }))];
  }

  // Names, the most important first, each where it covers no other.
  paintLabels(pen, taken) {
    // Above the points where these are large, on them where they are dots.
    const lift = this.radius > 3 ? this.radius + 12 : 0;
    for (const label of this.labels()) {
      const [x, below] = this.screen(label.x, label.y), y = below - lift;
      if (x < 0 || y < 0 || x > this.width || y > this.height) continue;
      const style = { font: label.font, ink: mixed(this.palette.at(label.color), this.dark ? 255 : 20), ground: this.ground };
      const box = measure(pen, label.label, x, y, style);
      if (covers(box, taken)) continue;
      taken.push(write(pen, label.label, x, y, style));
    }
  }
}

// The points, by WebGL, or pixel by pixel where that would not be any faster.
class Painter {
  constructor(stage, points, again) {
    this.stage = stage;
    this.points = points;
    this.again = again;
    this.open(true);
  }

  open(fast) {
    this.canvas?.remove();
    this.canvas = make("canvas", "map-points");
    this.canvas.setAttribute("aria-hidden", "true");
    this.stage.prepend(this.canvas);
    this.gl = fast ? this.canvas.getContext("webgl", { antialias: false, failIfMajorPerformanceCaveat: true }) : null;
    if (this.gl && !drawnByProcessor(this.gl) && this.prepare(this.gl)) {
      this.canvas.addEventListener("webglcontextlost", () => {
        const { width, height, ratio } = this;
        this.open(false);
        this.resize(width, height, ratio);
        this.again();
      });
    } else if (fast) this.open(false);
    else this.pen = this.canvas.getContext("2d", { willReadFrequently: true });
  }

  prepare(gl) {
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return false;
    gl.useProgram(program);
    const { x, y } = this.points;
    const places = new Float32Array(2 * x.length);
    for (let at = 0; at < x.length; at++) places.set([x[at], y[at]], 2 * at);
    this.attribute(program, "place", places, 2, gl.FLOAT);
    this.tints = this.attribute(program, "tint", new Uint8Array(4 * x.length), 4, gl.UNSIGNED_BYTE);
    this.uniforms = { view: gl.getUniformLocation(program, "view"), size: gl.getUniformLocation(program, "size") };
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    return true;
  }

  attribute(program, name, values, width, kind) {
    const { gl } = this, buffer = gl.createBuffer(), at = gl.getAttribLocation(program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, width, kind, kind === gl.UNSIGNED_BYTE, 0, 0);
    return buffer;
  }

  tint(tints) {
    this.colors = new Uint32Array(tints.buffer);
    if (!this.gl) return;
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.tints);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, tints, this.gl.DYNAMIC_DRAW);
  }

  resize(width, height, ratio) {
    Object.assign(this, { width, height, ratio });
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    this.gl?.viewport(0, 0, this.canvas.width, this.canvas.height);
  }

  paint(view, radius) {
    if (this.gl) this.paintFast(this.gl, view, radius);
    else this.paintPlain(this.pen, view, radius);
  }

  paintFast(gl, { x, y, scale, middle }, radius) {
    const across = (2 * scale) / this.width, down = (2 * scale) / this.height;
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform4f(this.uniforms.view, across, -down, (2 * middle[0]) / this.width - 1 - x * across, 1 - (2 * middle[1]) / this.height + y * down);
    gl.uniform1f(this.uniforms.size, 2 * radius * this.ratio + 1);
    gl.drawArrays(gl.POINTS, 0, this.points.x.length);
  }

  // Pixel by pixel on the background: for many small points quicker than any drawing command.
  paintPlain(pen, view, radius) {
    const { width, height } = this.canvas;
    if (!width || !height || !this.colors) return;
    if (this.image?.width !== width || this.image.height !== height) this.image = new ImageData(width, height);
    const pixels = new Uint32Array(this.image.data.buffer);
    pixels.fill(this.ground(pen, view.ground));
    const disc = discOf(radius * this.ratio), reach = (disc.length - 1) / 2;
    const { x, y } = this.points, scale = view.scale * this.ratio;
    const left = view.middle[0] * this.ratio - view.x * scale, top = view.middle[1] * this.ratio - view.y * scale;
    for (let point = 0; point < x.length; point++) {
      const column = Math.round(x[point] * scale + left), row = Math.round(y[point] * scale + top);
      if (column < reach || row < reach || column >= width - reach || row >= height - reach) continue;
      const color = this.colors[point], opacity = color >>> 24;
      const redBlue = (color & 0xff00ff) * opacity, green = ((color >>> 8) & 0xff) * opacity, rest = 255 - opacity;
      for (let dy = -reach; dy <= reach; dy++) {
        const first = (row + dy) * width + column - disc[dy + reach], last = first + 2 * disc[dy + reach];
        for (let at = first; at <= last; at++) {
          const under = pixels[at];
          const both = (((under & 0xff00ff) * rest + redBlue) >>> 8) & 0xff00ff;
          pixels[at] = 0xff000000 | both | ((((under >>> 8) & 0xff) * rest + green) & 0xff00);
        }
      }
    }
    pen.putImageData(this.image, 0, 0);
  }

  // A colour in whatever way it is written, as a pixel.
  ground(pen, color) {
    if (this.known !== color) {
      pen.fillStyle = color;
      pen.fillRect(0, 0, 1, 1);
      this.pixel = new Uint32Array(pen.getImageData(0, 0, 1, 1).data.buffer)[0];
      this.known = color;
    }
    return this.pixel;
  }

  destroy() {
    this.gl?.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

const VERTEX = `
attribute vec2 place;
attribute vec4 tint;
uniform vec4 view;
uniform mediump float size;
varying vec4 color;
void main() {
  gl_Position = vec4(place * view.xy + view.zw, 0.0, 1.0);
  gl_PointSize = size;
  color = tint;
}`;

const FRAGMENT = `
precision mediump float;
uniform float size;
varying vec4 color;
void main() {
  float inside = clamp(size * (0.5 - distance(gl_PointCoord, vec2(0.5))), 0.0, 1.0);
  gl_FragColor = vec4(color.rgb, 1.0) * color.a * inside;
}`;

// Whether a processor does the graphics card's work: there, plain pixels take a small part of the time.
function drawnByProcessor(gl) {
  const details = gl.getExtension("WEBGL_debug_renderer_info");
  return /swiftshader|llvmpipe|softpipe|basic render/i.test(gl.getParameter(details ? details.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
}

// Points by squares of the map, so that the nearest one is found among few.
class Grid {
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

function make(name, style, properties = {}, children = []) {
  const element = Object.assign(document.createElement(name), properties);
  if (style) element.className = style;
  element.append(...children);
  return element;
}

function bounds(x, y) {
  const box = [Infinity, -Infinity, Infinity, -Infinity];
  for (let at = 0; at < x.length; at++) {
    box[0] = Math.min(box[0], x[at]);
    box[1] = Math.max(box[1], x[at]);
    box[2] = Math.min(box[2], y[at]);
    box[3] = Math.max(box[3], y[at]);
  }
  return box;
}

function number(value) {
  return value.toLocaleString("en");
}

function shortened(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

// A colour of the palette, dark (or light) enough to be read.
function mixed(color, towards) {
  return `rgb(${channels(color).map((part) => Math.round(0.55 * part + 0.45 * towards)).join(" ")})`;
}

function channels(color) {
  return [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
}

// Half the width of each row of pixels of a disc.
function discOf(radius) {
  const reach = Math.max(0, Math.floor(radius));
  return Array.from({ length: 2 * reach + 1 }, (_, at) => Math.floor(Math.sqrt(Math.max(0, radius ** 2 - (at - reach) ** 2))));
}

// A label in lines of some words, centred at a place; gives the box it takes.
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

const LINE = 16;

function measure(pen, text, x, y, { font }) {
  pen.font = font;
  const rows = lines(text), width = Math.max(...rows.map((row) => pen.measureText(row).width));
  return [x - width / 2 - 4, y - (rows.length * LINE) / 2 - 2, x + width / 2 + 4, y + (rows.length * LINE) / 2 + 2];
}

function covers(box, taken) {
  return taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3]);
}

function write(pen, text, x, y, style) {
  const box = measure(pen, text, x, y, style);
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  pen.lineWidth = 4;
  pen.strokeStyle = style.ground;
  pen.fillStyle = style.ink;
  lines(text).forEach((row, at) => {
    const middle = box[1] + 2 + LINE * (at + 0.5);
    pen.globalAlpha = 0.85;
    pen.strokeText(row, x, middle);
    pen.globalAlpha = 1;
    pen.fillText(row, x, middle);
  });
  return box;
}
