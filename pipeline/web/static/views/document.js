// A document as its stored passages, with the place marked.

import { call, query, under } from "../api.js";
import { counted, el, replace, size } from "../dom.js";
import { folderOf, linesOf, nameOf } from "../passages.js";

const AROUND = 24;
const MORE = 40;

export async function mount(element, app) {
  const given = app.parameters;
  const id = given.get("d");
  const read = (more) => call(under(app.collection, `/documents/${encodeURIComponent(id)}?${query(more)}`));
  const stretch = await read({ around: given.get("p"), count: AROUND });
  const text = el("div", { class: "text" });
  const parts = stretch.passages.map((each) => part(each, stretch, given.get("quote")));
  const ends = { first: stretch.passages[0]?.number ?? 0, after: (stretch.passages.at(-1)?.number ?? -1) + 1 };
  const before = el("div", { class: "more" }, el("button", { type: "button", class: "quiet small", onclick: earlier }, "Show what stands before"));
  const after = el("div", { class: "more" }, el("button", { type: "button", class: "quiet small", onclick: later }, "Show what follows"));
  text.append(before, ...parts, after);
  limit();

  async function earlier() {
    const first = Math.max(0, ends.first - MORE);
    const found = await read({ first, count: ends.first - first });
    before.after(...found.passages.map((each) => part(each, stretch)));
    ends.first = first;
    limit();
  }
  async function later() {
    const found = await read({ first: ends.after, count: MORE });
    before.parentNode.insertBefore(fragment(found.passages.map((each) => part(each, stretch))), after);
    ends.after += found.passages.length;
    limit();
  }
  function limit() {
    before.hidden = ends.first === 0;
    after.hidden = ends.after >= stretch.total;
  }

  const metadata = Object.entries(stretch.metadata).filter(([, value]) => typeof value === "string").slice(0, 8);
  replace(element,
    el("div", { class: "document-head" },
      el("div", { class: "row" }, el("button", { type: "button", class: "link", onclick: () => history.back() }, "← Back"),
        el("kbd", { "aria-hidden": "true" }, "Esc")),
      el("h1", {}, stretch.title || nameOf(stretch.path)),
      el("p", { class: "small muted mono" }, `${folderOf(stretch.path)}/${nameOf(stretch.path)}`),
      el("div", { class: "facts" }, el("span", {}, stretch.format), el("span", {}, size(stretch.size)),
        el("span", {}, counted(stretch.total, "passage")),
        ...metadata.map(([name, value]) => el("span", {}, `${name}: ${value.slice(0, 60)}`)))),
    text);
  document.title = `${nameOf(stretch.path)} · pipeline`;
  const found = text.querySelector(".found");
  if (found) {
    found.focus({ preventScroll: true });
    found.scrollIntoView({ block: "center" });
  }
  return {};
}

function fragment(nodes) {
  const all = document.createDocumentFragment();
  all.append(...nodes);
  return all;
}

function part(each, stretch, quote) {
  const text = Array.from(each.text).slice(each.overlap).join("");
  const found = each.number === stretch.at;
  const code = /^(python|code|javascript|c|cpp|go|rust|java)$/.test(stretch.format) ? " code" : "";
  return el("section", { class: `part${code}${found ? " found" : ""}`, tabindex: found ? "-1" : null, "aria-label": found ? `The passage found, ${linesOf(each)}` : null },
    el("div", { class: "lines", "aria-hidden": "true" }, each.page ? `p. ${each.page}` : String(each.start_line)),
    el("div", { class: "body" }, found && quote ? quoted(text, quote) : text));
}

function quoted(text, quote) {
  const at = text.indexOf(quote);
  if (at < 0) return text;
  return [text.slice(0, at), el("mark", {}, quote), text.slice(at + quote.length)];
}
