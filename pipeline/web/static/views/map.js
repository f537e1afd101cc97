// The map of a collection: made where it is not there yet, a query drawn in, points that open their document.

import { call, query, under } from "../api.js";
import { el, failure, replace } from "../dom.js";
import { documentLink } from "../passages.js";
import { mountMap } from "../map.js";

const LOOK_AGAIN = 700;
const WAIT = 250;

export async function mount(element, app) {
  const state = { gone: false, view: null, poll: 0, typing: 0, asked: 0 };
  const collection = app.collection;
  element.classList.add("wide");
  const input = el("input", { type: "search", "data-main-field": true, "aria-label": "Draw a query in", placeholder: "Draw a query in", autocomplete: "off", value: app.parameters.get("q") ?? "" });
  const said = el("div", {});
  const stage = el("div", { class: "map-view" });
  input.classList.add("grow");
  replace(element, el("h1", { class: "visually-hidden" }, "Map"), el("div", { class: "row map-tools" }, input), said, stage);
  if (!collection) replace(said, el("div", { class: "empty" }, el("h2", {}, "There is no collection yet")));
  else { await styled(); begin(); }

  async function begin() {
    try {
      const data = await call(under(collection, "/map"));
      if (state.gone) return;
      if (!data.points) {
        const bar = el("progress", { max: data.total || 1, value: data.done, "aria-label": "The map is being drawn" });
        replace(said, el("div", { class: "card stack" }, el("p", {}, `The map is being drawn: ${data.step}`), bar));
        state.poll = setTimeout(begin, LOOK_AGAIN);
        return;
      }
      replace(said);
      state.view = mountMap(stage, data, { passage, onOpen: open });
      if (input.value) draw();
    } catch (error) {
      replace(said, failure(error));
    }
  }

  async function passage(point) {
    return (await call(under(collection, `/map/passages?points=${point}`))).passages[0];
  }

  async function open(point, known) {
    location.hash = documentLink(collection, known?.document_id ? known : await passage(point));
  }

  async function draw() {
    const ticket = (state.asked += 1);
    app.keep({ q: input.value });
    if (!input.value.trim()) return state.view?.setQuery(null);
    try {
      const found = await call(under(collection, `/map/query?${query({ q: input.value })}`));
      if (ticket === state.asked && !state.gone) state.view?.setQuery(found);
    } catch (error) {
      if (ticket === state.asked) replace(said, failure(error));
    }
    return undefined;
  }
  input.addEventListener("input", () => { clearTimeout(state.typing); state.typing = setTimeout(draw, WAIT); });
  return { destroy() { state.gone = true; clearTimeout(state.poll); clearTimeout(state.typing); state.view?.destroy(); } };
}

function styled() {
  // The map's style is fetched with the first map.
  if (document.getElementById("map-style")) return undefined;
  const link = el("link", { rel: "stylesheet", href: "/static/map.css", id: "map-style" });
  return new Promise((resolve) => {
    link.addEventListener("load", resolve);
    link.addEventListener("error", resolve);
    document.head.append(link);
  });
}
