// The models of the server that answers: what is there, what can be pulled, how a pull goes on.

import { call } from "../api.js";
import { confirmed, el, failure, replace, size } from "../dom.js";
import { jobCard, watch } from "../jobs.js";

export async function mount(element) {
  const list = el("div", { class: "stack" });
  const jobs = el("div", { class: "stack" });
  const problem = el("div", {});
  const ending = new AbortController();
  const name = el("input", { id: "model", required: true, autocomplete: "off", placeholder: "all-minilm" });
  const form = el("form", { class: "card stack", onsubmit: (event) => { event.preventDefault(); pull(name.value.trim()); } },
    el("div", { class: "field" }, el("label", { for: "model" }, "Pull a model"), el("div", { class: "row" }, name, el("button", {}, "Pull")),
      el("span", { class: "help" }, "By the name that it has in the server’s registry")), problem);
  const about = el("p", { class: "muted small" });
  replace(element, el("div", { class: "stack" }, el("h1", {}, "Models"), about, jobs, list, form));

  async function refresh() {
    const found = await call("/api/models");
    const here = new Set(found.models.map((each) => each.name));
    about.textContent = found.embedded ? "On the server inside this program." : "On the Ollama server.";
    replace(list,
      ...found.models.map((each) => row(each.name, `${size(each.size)} · ${each.capabilities.join(", ")} · ${each.digest.slice(0, 12)}`,
        el("button", { type: "button", class: "danger small", "aria-label": `Remove ${each.name}`, onclick: () => remove(each.name) }, "Remove"))),
      ...found.available.filter((each) => !here.has(each.name)).map((each) => row(each.name, `${size(each.size)} · ${each.licence} · not here yet`,
        el("button", { type: "button", class: "quiet small", "aria-label": `Pull ${each.name}`, onclick: () => pull(each.name) }, "Pull"))));
  }

  function row(title, facts, action) {
    return el("section", { class: "card row between" }, el("div", {}, el("h2", {}, title), el("p", { class: "small muted" }, facts)), action);
  }

  async function pull(model) {
    replace(problem);
    try {
      started(await call("/api/models/pull", { method: "POST", body: { model } }));
    } catch (error) { replace(problem, failure(error)); }
  }

  function started(job) {
    const shown = jobCard(job);
    jobs.prepend(shown.element);
    watch(job, shown, ending.signal, refresh);
  }

  async function remove(model) {
    if (!await confirmed(`Remove ${model}?`, "It can be pulled again.", "Remove")) return;
    try { await call(`/api/models/${encodeURIComponent(model)}`, { method: "DELETE" }); await refresh(); } catch (error) { replace(problem, failure(error)); }
  }

  await refresh();
  for (const job of (await call("/api/jobs")).jobs.filter((each) => each.kind === "pull" && !each.result)) started(job);
  return { destroy() { ending.abort(); } };
}
