// Search as you type: modes, conditions, result cards, arrows.

import { call, query, under } from "../api.js";
import { counted, el, failure, replace } from "../dom.js";
import { hitCard } from "../passages.js";

const WAIT = 120;
const MODES = { hybrid: "Hybrid", dense: "Meaning", lexical: "Words" };

export function mount(element, app) {
  const given = app.parameters;
  const state = { asked: 0, timer: 0, running: null };
  const mode = () => form.elements.mode.value;

  const input = el("input", { type: "search", id: "query", "data-main-field": true, autocomplete: "off", spellcheck: false,
    placeholder: "Search by meaning and by words", "aria-label": "Search", "aria-controls": "hits", value: given.get("q") ?? "" });
  const where = el("input", { type: "text", id: "where", autocomplete: "off", spellcheck: false,
    placeholder: "path ~ 'docs/**' and date >= 2024-06", "aria-describedby": "where-help", value: given.get("where") ?? "" });
  const problem = el("div", { class: "pointed", role: "alert", hidden: true });
  const filters = el("div", { class: "card filters", id: "filters", hidden: !given.get("where") },
    el("div", { class: "field" }, el("label", { for: "where" }, "Only documents where"), where, problem,
      el("span", { class: "help", id: "where-help" }, "path, name, title, format, language, size, date, and a document’s own metadata; =, !=, <, >, ~ (glob), in (…), and, or, not")));
  const toggle = el("button", { type: "button", class: "quiet small", "aria-expanded": String(!filters.hidden), "aria-controls": "filters", onclick: () => {
    filters.hidden = !filters.hidden;
    toggle.setAttribute("aria-expanded", String(!filters.hidden));
    if (!filters.hidden) where.focus();
  } }, "Filter");
  const count = el("span", { class: "count" });
  const hits = el("div", { class: "hits", id: "hits" });
  const form = el("form", { role: "search", onsubmit: (event) => { event.preventDefault(); firstLink()?.focus(); } },
    el("div", { class: "search-box" }, input, magnifier(), el("kbd", { "aria-hidden": "true" }, "/")),
    el("div", { class: "tools" },
      el("fieldset", { class: "segments" }, el("legend", { class: "visually-hidden" }, "How to search"),
        ...Object.entries(MODES).map(([name, title]) => el("label", {},
          el("input", { type: "radio", name: "mode", value: name, checked: name === (given.get("mode") ?? "hybrid"), onchange: () => search(0) }), title))),
      toggle, count),
    filters);
  replace(element, el("h1", { class: "visually-hidden" }, "Search"), form, hits);

  const links = () => [...hits.querySelectorAll(".hit-link")];
  const firstLink = () => links()[0];

  function parameters() {
    return { q: input.value, mode: mode() === "hybrid" ? "" : mode(), where: where.value };
  }

  function search(wait) {
    clearTimeout(state.timer);
    state.timer = setTimeout(run, wait);
  }

  async function run() {
    const ticket = (state.asked += 1);
    state.running?.abort();
    app.keep(parameters());
    if (!app.collection) return replace(hits, nothingYet());
    if (!input.value.trim()) {
      count.textContent = "";
      problem.hidden = true;
      return replace(hits, ...welcome(app));
    }
    state.running = new AbortController();
    const asked = { q: input.value, mode: mode(), where: where.value, k: 20, highlight: true };
    hits.classList.add("stale");
    const started = performance.now();
    try {
      const found = await call(under(app.collection, `/search?${query(asked)}`), { signal: state.running.signal });
      if (ticket === state.asked) show(found, asked, performance.now() - started);
    } catch (error) {
      if (error.name !== "AbortError" && ticket === state.asked) fail(error, asked);
    }
  }

  function show(found, asked, milliseconds) {
    hits.classList.remove("stale");
    problem.hidden = true;
    where.removeAttribute("aria-invalid");
    count.textContent = `${counted(found.hits.length, "passage")} · ${Math.round(milliseconds)} ms`;
    app.say(counted(found.hits.length, "passage"));
    let explained = null;
    const explain = async (hit) => {
      explained ??= call(under(app.collection, `/search?${query({ ...asked, highlight: undefined, explain: true })}`));
      return (await explained).hits.find((each) => each.chunk_id === hit.chunk_id)?.explain;
    };
    replace(hits,
      ...found.notices.map((text) => el("p", { class: "note" }, text)),
      ...found.hits.map((hit) => hitCard(hit, { collection: app.collection, words: asked.q, explain })),
      found.hits.length ? null : el("div", { class: "empty" }, el("h2", {}, "Nothing found"),
        el("p", {}, asked.where || asked.mode === "lexical" || asked.q.includes('"') ? "Try it without the filter, or by meaning." : "The collection is empty.")));
  }

  function fail(error, asked) {
    hits.classList.remove("stale");
    if (error.at === undefined) {
      count.textContent = "";
      return replace(hits, failure(error));
    }
    filters.hidden = false;
    toggle.setAttribute("aria-expanded", "true");
    problem.hidden = false;
    where.setAttribute("aria-invalid", "true");
    const at = Array.from(asked.where);
    replace(problem, el("span", {}, `${error.message.split("\n")[0].replace("--where: ", "")}\n`),
      el("span", {}, at.slice(0, error.at).join("")), el("u", {}, at.slice(error.at, error.at + 1).join("") || " "),
      el("span", {}, at.slice(error.at + 1).join("")));
    return undefined;
  }

  function onKey(event) {
    const all = links();
    const at = all.indexOf(document.activeElement);
    if (event.key === "ArrowDown" && (at >= 0 || document.activeElement === input) && at + 1 < all.length) {
      event.preventDefault();
      all[at + 1].focus();
    } else if (event.key === "ArrowUp" && at >= 0) {
      event.preventDefault();
      (all[at - 1] ?? input).focus();
    } else if (event.key === "Escape" && at >= 0) {
      input.focus();
    } else if (event.key === "Escape" && document.activeElement === input && input.value) {
      event.preventDefault();
      input.value = "";
      search(0);
    }
  }

  input.addEventListener("input", () => search(WAIT));
  where.addEventListener("input", () => search(2 * WAIT));
  element.addEventListener("keydown", onKey);
  if (matchMedia("(hover: hover)").matches) input.focus({ preventScroll: true });
  run();
  return { destroy() { clearTimeout(state.timer); state.running?.abort(); } };
}

function welcome(app) {
  const facts = app.collections.find((each) => each.collection === app.collection);
  if (!facts || facts.error) return [el("div", { class: "empty" }, el("h2", {}, app.collection), el("p", {}, facts?.error ?? ""))];
  return [el("div", { class: "empty" },
    el("h2", {}, facts.collection),
    el("p", {}, `${counted(facts.documents, "document")}, ${counted(facts.chunks, "passage")}`),
    el("p", { class: "small" }, el("kbd", {}, "↓"), " to the hits, ", el("kbd", {}, "Enter"), " opens, ", el("kbd", {}, "Esc"), " comes back, ", el("kbd", {}, "\"…\""), " finds words as they stand"))];
}

function nothingYet() {
  return el("div", { class: "empty" }, el("h2", {}, "There is no collection yet"),
    el("p", {}, el("a", { href: "#/collections" }, "Index a folder or drop files"), " to make one."));
}

function magnifier() {
  const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, value] of Object.entries({ viewBox: "0 0 24 24", width: "20", height: "20", fill: "none", stroke: "currentColor", "stroke-width": "2", "stroke-linecap": "round", "aria-hidden": "true" })) picture.setAttribute(name, value);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16.5 16.5 21 21");
  picture.append(path);
  return picture;
}
