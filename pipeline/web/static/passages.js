// How passages look: places, headings, marked words, and why a hit ranks where it does.

import { el } from "./dom.js";
import { query } from "./api.js";

export function marked(text, spans = []) {
  // Spans count characters as Python does, by code point.
  if (!spans.length) return [text];
  const characters = Array.from(text);
  const parts = [];
  let end = 0;
  for (const [start, stop] of spans) {
    if (start < end) continue;
    parts.push(characters.slice(end, start).join(""), el("mark", {}, characters.slice(start, stop).join("")));
    end = stop;
  }
  return [...parts, characters.slice(end).join("")];
}

export function nameOf(path) { return path.slice(path.lastIndexOf("/") + 1); }

export function folderOf(path) {
  const parts = path.split("/").slice(0, -1);
  return parts.length > 3 ? `…/${parts.slice(-2).join("/")}` : parts.join("/");
}

export function linesOf({ start_line: first, end_line: last, page }) {
  const lines = last > first ? `lines ${first}–${last}` : `line ${first}`;
  return page ? `page ${page}` : lines;
}

export function documentLink(collection, hit, more = {}) {
  return `#/document?${query({ c: hit.collection || collection, d: hit.document_id, p: hit.chunk_id, ...more })}`;
}

export function hitCard(hit, { collection, words, explain, named = false, similar = false }) {
  const text = el("p", { class: "passage short" }, marked(hit.text, hit.highlights));
  const more = el("button", { type: "button", class: "link", hidden: true, "aria-expanded": "false", onclick: () => {
    const short = text.classList.toggle("short");
    more.textContent = short ? "Show all" : "Show less";
    more.setAttribute("aria-expanded", String(!short));
  } }, "Show all");
  const card = el("article", { class: "card hit" },
    el("div", { class: "hit-head" },
      el("a", { class: "hit-link", href: documentLink(collection, hit, { q: words }) }, nameOf(hit.path)),
      el("span", { class: "hit-place" }, `${folderOf(hit.path)} · ${linesOf(hit)}`),
      named ? el("span", { class: "badge" }, hit.collection) : null,
      el("span", { class: "score", title: "Score" }, hit.score.toFixed(3))),
    hit.heading ? el("p", { class: "crumbs" }, hit.heading.split(" > ").join(" › ")) : null,
    text,
    el("div", { class: "hit-foot" }, more, explain ? whyButton(hit, explain) : null,
      similar ? el("a", { class: "similar", href: `#/search?${query({ c: hit.collection || collection, like: `${hit.path}:${hit.start_line}` })}` }, "Similar") : null,
      hit.duplicates.length ? el("span", { class: "muted" }, `the same in ${hit.duplicates.length} more`) : null));
  requestAnimationFrame(() => { more.hidden = text.scrollHeight <= text.clientHeight + 2; });
  return card;
}

function whyButton(hit, explain) {
  let shown = null;
  const button = el("button", { type: "button", class: "link", "aria-expanded": "false", onclick: async () => {
    if (shown) {
      shown.remove();
      shown = null;
    } else {
      const stages = await explain(hit);
      shown = whyTable(stages);
      button.closest(".hit").append(shown);
    }
    button.setAttribute("aria-expanded", String(Boolean(shown)));
  } }, "Why this?");
  return button;
}

function whyTable(stages) {
  const rows = Object.entries(stages ?? {}).map(([name, stage]) => {
    const terms = Object.entries(stage.terms).map(([term, value]) => `${term} ${value.toFixed(2)}`);
    const detail = Object.entries(stage.detail).map(([term, value]) => `${term} ${value.toFixed(2)}`);
    return el("tr", {},
      el("th", { scope: "row" }, name),
      el("td", { class: "number" }, stage.rank ? `${stage.rank}` : "–"),
      el("td", { class: "number" }, stage.score.toFixed(4)),
      el("td", {}, [...detail, ...terms].join(", ")));
  });
  if (!rows.length) return el("div", { class: "why" }, el("p", {}, "This passage is not among the hits any more."));
  return el("div", { class: "why", tabindex: "0", role: "region", "aria-label": "Score by stage" },
    el("table", {},
      el("thead", {}, el("tr", {}, ...["stage", "rank", "score", "made of"].map((name, at) =>
        el("th", { scope: "col", class: at === 1 || at === 2 ? "number" : null }, name)))),
      el("tbody", {}, ...rows)));
}
