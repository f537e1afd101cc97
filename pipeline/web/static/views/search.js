// Search as you type: modes, filters, result cards, arrows; judged once more by a chat model where one asks for it.

import { call, query, under } from "../api.js";
import { counted, el, failure, replace } from "../dom.js";
import { filterPanel } from "../filters.js";
import { hitCard, nameOf } from "../passages.js";

const MODES = { hybrid: "Hybrid", dense: "Meaning", lexical: "Words" };

export function mount(element, app) {
  const given = app.parameters;
  const state = { asked: 0, running: null, judging: false, again: false, like: given.get("like") ?? "" };
  const mode = () => form.elements.mode.value;

  const input = el("input", { type: "search", id: "query", "data-main-field": true, autocomplete: "off", spellcheck: false,
    placeholder: "Search by meaning and by words", "aria-label": "Search", "aria-controls": "hits", value: given.get("q") ?? "" });
  const filters = filterPanel(app, search);
  const toggle = el("button", { type: "button", class: "quiet small", "aria-expanded": String(!filters.element.hidden), "aria-controls": "filters", onclick: () => {
    filters.element.hidden = !filters.element.hidden;
    toggle.setAttribute("aria-expanded", String(!filters.element.hidden));
    if (!filters.element.hidden) filters.where.focus();
  } }, "Filter");
  const judge = el("button", { type: "button", class: "quiet small", hidden: true, title: "Have the chat model judge the best hits", onclick: () => run({ rerank: "auto", explain: true }) }, "Rerank");
  const count = el("span", { class: "count" });
  const like = el("p", { class: "like", hidden: true });
  const hits = el("div", { class: "hits", id: "hits" });
  const form = el("form", { role: "search", onsubmit: (event) => { event.preventDefault(); firstLink()?.focus(); } },
    el("div", { class: "search-box" }, input, magnifier(), el("kbd", { "aria-hidden": "true" }, "/")),
    el("div", { class: "tools" },
      el("fieldset", { class: "segments" }, el("legend", { class: "visually-hidden" }, "How to search"),
        ...Object.entries(MODES).map(([name, title]) => el("label", {},
          el("input", { type: "radio", name: "mode", value: name, checked: name === (given.get("mode") ?? "hybrid"), onchange: search }), title))),
      toggle, judge, count),
    filters.element);
  replace(element, el("h1", { class: "visually-hidden" }, "Search"), form, like, hits);

  const links = () => [...hits.querySelectorAll(".hit-link")];
  const firstLink = () => links()[0];

  // One at a time: what is typed meanwhile is asked for when the answer is there, the newest of it alone.
  function search() {
    if (state.running && !state.judging) state.again = true;
    else run();
  }

  async function run(more = {}) {
    const ticket = (state.asked += 1);
    state.running?.abort();
    state.running = null;
    state.again = false;
    if (input.value) state.like = "";
    app.keep({ q: input.value, like: state.like, mode: mode() === "hybrid" ? "" : mode(), ...filters.kept() });
    showLike();
    judge.hidden = true;
    if (!app.collection) return replace(hits, nothingYet());
    if (!input.value.trim() && !state.like) {
      count.textContent = "";
      filters.clearProblem();
      hits.classList.remove("stale");
      return replace(hits, ...welcome(app));
    }
    state.running = new AbortController();
    state.judging = Boolean(more.rerank);
    const asked = { q: input.value, like: state.like, mode: mode(), ...filters.asked(), k: 20, highlight: true, ...more };
    hits.classList.add("stale");
    if (more.rerank) count.textContent = "judging …";
    const started = performance.now();
    try {
      const found = await call(path(asked), { signal: state.running.signal });
      if (ticket === state.asked) show(found, asked, performance.now() - started);
    } catch (error) {
      if (error.name !== "AbortError" && ticket === state.asked) fail(error);
    }
    if (ticket !== state.asked) return undefined;
    state.running = null;
    if (state.again) search();
    return undefined;
  }

  function path(asked) {
    const several = filters.collections();
    return several.length ? `/api/search?${query({ collections: several.join(","), ...asked })}` : under(app.collection, `/search?${query(asked)}`);
  }

  function show(found, asked, milliseconds) {
    hits.classList.remove("stale");
    filters.clearProblem();
    judge.hidden = Boolean(asked.rerank) || !found.hits.length;
    count.textContent = `${counted(found.hits.length, "passage")} · ${asked.rerank ? `judged in ${(milliseconds / 1000).toFixed(1)} s` : `${Math.round(milliseconds)} ms`}`;
    app.say(counted(found.hits.length, "passage"));
    let explained = null;
    const explain = async (hit) => {
      if (asked.rerank) return hit.explain;
      explained ??= call(path({ ...asked, highlight: undefined, explain: true }));
      return (await explained).hits.find((each) => each.chunk_id === hit.chunk_id)?.explain;
    };
    const named = Array.isArray(found.collection);
    replace(hits,
      ...found.notices.map((text) => el("p", { class: "note" }, text)),
      ...found.hits.map((hit) => hitCard(hit, { collection: app.collection, words: asked.q, explain, named, similar: true })),
      found.hits.length ? null : el("div", { class: "empty" }, el("h2", {}, "Nothing found"),
        el("p", {}, asked.where || asked.mode === "lexical" || asked.q.includes('"') ? "Try it without the filter, or by meaning." : "The collection is empty.")));
  }

  function showLike() {
    like.hidden = !state.like;
    if (!state.like) return;
    const [, file, line] = /^(.*):(\d+)$/.exec(state.like) ?? [null, state.like, "?"];
    replace(like, "Similar to ", el("b", {}, `${nameOf(file)}, line ${line}`),
      el("button", { type: "button", class: "link", onclick: () => { state.like = ""; input.focus(); search(); } }, "Clear"));
  }

  function fail(error) {
    hits.classList.remove("stale");
    count.textContent = "";
    if (error.at === undefined) return replace(hits, failure(error));
    filters.showProblem(error);
    toggle.setAttribute("aria-expanded", "true");
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
      search();
    }
  }

  input.addEventListener("input", search);
  element.addEventListener("keydown", onKey);
  if (matchMedia("(hover: hover)").matches) input.focus({ preventScroll: true });
  run();
  return { destroy() { state.asked += 1; state.running?.abort(); } };
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
