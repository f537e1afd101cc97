// The frame of the page: which view is shown, which collection is meant, dark and light, keys that work everywhere.

import { call, query, setToken, takeToken } from "./api.js";
import { el, failure, replace } from "./dom.js";

const VIEWS = { search: "Search", ask: "Ask", map: "Map", collections: "Collections", models: "Models" };
const OTHERS = ["document"];
const THEME = "pipeline.theme";
const COLLECTION = "pipeline.collection";

const main = document.getElementById("main");
const select = document.getElementById("collection");
let mounted = null;
let wanted = 0;

export const app = {
  collections: [],
  collection: "",
  view: "",
  parameters: new URLSearchParams(),
  go(view, parameters = {}) { location.hash = `#/${view}?${query(parameters)}`; },
  keep(parameters) { history.replaceState(null, "", `#/${app.view}?${query({ c: app.collection, ...parameters })}`); },
  say(text) { document.getElementById("status").textContent = text; },
  async refresh() {
    app.collections = (await call("/api/collections")).collections;
    const names = app.collections.map((each) => each.collection);
    if (!names.includes(app.collection)) app.collection = names.includes(remembered()) ? remembered() : names[0] ?? "";
    replace(select, ...names.map((name) => el("option", { value: name, selected: name === app.collection }, name)));
    select.hidden = names.length === 0;
  },
};

function remembered() { return localStorage.getItem(COLLECTION) ?? ""; }

async function show() {
  const ticket = (wanted += 1);
  const [name, parameters] = location.hash.replace(/^#\/?/, "").split("?");
  app.view = name in VIEWS || OTHERS.includes(name) ? name : "search";
  app.parameters = new URLSearchParams(parameters ?? "");
  const asked = app.parameters.get("c");
  if (asked && app.collections.some((each) => each.collection === asked)) app.collection = asked;
  select.value = app.collection;
  if (app.collection) localStorage.setItem(COLLECTION, app.collection);
  for (const link of document.querySelectorAll("#views a")) {
    if (link.dataset.view === app.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const module = await import(`./views/${app.view}.js`);
  if (ticket !== wanted) return;
  mounted?.destroy?.();
  const element = el("div", { class: "column" });
  replace(main, element);
  document.title = `${VIEWS[app.view] ?? "Document"} · pipeline`;
  scrollTo(0, 0);
  try {
    mounted = await module.mount(element, app);
  } catch (error) {
    replace(element, failure(error));
  }
}

function askForToken() {
  const input = el("input", { type: "password", id: "token", autocomplete: "off", required: true });
  const form = el("form", { class: "card stack", onsubmit: (event) => {
    event.preventDefault();
    setToken(input.value.trim());
    begin();
  } }, el("h1", {}, "This page needs a token"),
    el("div", { class: "field" }, el("label", { for: "token" }, "Token"), input,
      el("span", { class: "help" }, "The one that pipeline web was started with. It stays in this tab.")),
    el("div", {}, el("button", {}, "Open")));
  replace(main, el("div", { class: "column" }, form));
  input.focus();
}

function switchTheme() {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem(THEME, document.documentElement.dataset.theme);
}

function onKey(event) {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    const field = main.querySelector("[data-main-field]");
    if (field) { field.focus(); field.select?.(); } else app.go("search", { c: app.collection });
  }
  if (event.key === "Escape" && app.view === "document" && !document.querySelector("dialog")) history.back();
}

async function begin() {
  try {
    await app.refresh();
  } catch (error) {
    if (error.status === 401) return askForToken();
    return replace(main, el("div", { class: "column" }, failure(error)));
  }
  return show();
}

takeToken();
const kept = localStorage.getItem(THEME);
if (kept) document.documentElement.dataset.theme = kept;
replace(document.getElementById("views"), ...Object.entries(VIEWS).map(([name, title]) =>
  el("a", { href: `#/${name}`, "data-view": name }, title)));
document.getElementById("theme").addEventListener("click", switchTheme);
document.getElementById("skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
select.addEventListener("change", () => {
  app.collection = select.value;
  const view = app.view === "document" ? "search" : app.view;
  const parameters = Object.fromEntries(app.parameters);
  app.go(view, { ...(view === app.view ? parameters : {}), c: app.collection, in: "", like: "" });
});
addEventListener("hashchange", show);
addEventListener("keydown", onKey);
begin();
