// What a search is narrowed by and how hits are shown: a panel whose choices become parameters of the API.

import { el, replace } from "./dom.js";

const SHOWN = { "": "the passage", merge: "neighbours joined", "1": "one passage around", "2": "two passages around", section: "its section" };
const MOST = { "": "any number", 1: "one", 2: "two", 3: "three", 5: "five" };

export function filterPanel(app, changed) {
  const given = app.parameters;
  const names = app.collections.filter((each) => !each.error).map((each) => each.collection);
  const searched = new Set((given.get("in") ?? "").split(",").filter((name) => names.includes(name)));
  const where = el("input", { type: "text", id: "where", autocomplete: "off", spellcheck: false,
    placeholder: "path ~ 'docs/**' and date >= 2024-06", "aria-describedby": "where-help", value: given.get("where") ?? "", oninput: changed });
  const problem = el("div", { class: "pointed", role: "alert", hidden: true });
  const perDocument = choice("per-document", "Of one document", MOST, given.get("per") ?? "");
  const shown = choice("shown", "Show", SHOWN, given.get("show") ?? "");
  const once = el("input", { type: "checkbox", id: "once", checked: given.get("once") === "true", onchange: changed });
  const variety = el("input", { type: "range", id: "variety", min: "0", max: "1", step: "0.1", value: given.get("vary") ?? "0", onchange: changed });
  const others = names.length < 2 ? null : el("fieldset", { class: "field" }, el("legend", { class: "label" }, "Search in"),
    el("div", { class: "row checks" }, ...names.map((name) => check(`in-${name}`, name, el("input", { type: "checkbox", id: `in-${name}`, value: name,
      checked: searched.size ? searched.has(name) : name === app.collection, onchange: choose })))));

  const element = el("div", { class: "card filters", id: "filters", hidden: !Object.values(kept()).some(Boolean) },
    el("div", { class: "field" }, el("label", { for: "where" }, "Only documents where"), where, problem,
      el("span", { class: "help", id: "where-help" }, "path, name, title, format, language, size, date, and a document’s own metadata; =, !=, <, >, ~ (glob), in (…), and, or, not")),
    others,
    el("div", { class: "row options" }, shown.element, perDocument.element,
      el("div", { class: "field" }, el("label", { for: "variety" }, "Variety"), variety),
      check("once", "The same only once", once)));

  function choice(id, title, options, value) {
    const select = el("select", { id, onchange: changed }, ...Object.entries(options).sort(([one], [other]) => Boolean(one) - Boolean(other))
      .map(([name, text]) => el("option", { value: name, selected: name === value }, text)));
    return { select, element: el("div", { class: "field" }, el("label", { for: id }, title), select) };
  }

  function choose(event) {
    const boxes = [...others.querySelectorAll("input")];
    // One at the least is searched.
    if (!boxes.some((box) => box.checked)) event.target.checked = true;
    searched.clear();
    for (const box of boxes) if (box.checked) searched.add(box.value);
    if (searched.size === 1 && searched.has(app.collection)) searched.clear();
    changed();
  }

  // What stands in the page's address.
  function kept() {
    return { where: where.value, in: [...searched].join(","), show: shown.select.value, per: perDocument.select.value,
      once: once.checked ? "true" : "", vary: Number(variety.value) ? variety.value : "" };
  }

  // The same for the API.
  function asked() {
    const { where: condition, show, per, vary } = kept();
    return { where: condition, per_document: per, diversity: vary, collapse: once.checked || "",
      merge: show === "merge" || "", parent: show === "merge" ? "" : show };
  }

  function showProblem(error) {
    element.hidden = false;
    problem.hidden = false;
    where.setAttribute("aria-invalid", "true");
    const at = Array.from(where.value);
    replace(problem, el("span", {}, `${error.message.split("\n")[0].replace("--where: ", "")}\n`),
      el("span", {}, at.slice(0, error.at).join("")), el("u", {}, at.slice(error.at, error.at + 1).join("") || " "),
      el("span", {}, at.slice(error.at + 1).join("")));
  }

  function clearProblem() {
    problem.hidden = true;
    where.removeAttribute("aria-invalid");
  }

  return { element, where, kept, asked, showProblem, clearProblem, collections: () => [...searched] };
}

function check(id, title, input) {
  return el("label", { class: "check", for: id }, input, title);
}
