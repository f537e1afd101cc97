// Collections and their state; indexing, watched; uploads by drag and drop.

import { call, query, under } from "../api.js";
import { confirmed, counted, el, failure, replace, size, when } from "../dom.js";
import { jobCard, watch } from "../jobs.js";

const NAME = "[A-Za-z0-9][A-Za-z0-9._\\-]{0,63}";

export async function mount(element, app) {
  const list = el("div", { class: "stack" });
  let lastRuns = [];
  const jobs = el("div", { class: "stack", "aria-live": "off" });
  const ending = new AbortController();
  const panel = indexPanel(app, started);
  replace(element, el("div", { class: "stack" },
    el("h1", {}, "Collections"), jobs, list, panel.element));

  async function refresh() {
    const [all] = await Promise.all([call("/api/jobs"), app.refresh()]);
    lastRuns = all.jobs.filter((each) => each.kind === "index");
    replace(list, ...app.collections.map(card), app.collections.length ? null : el("p", { class: "muted" }, "There is none yet. Make one below."));
  }

  function started(job) {
    const shown = jobCard(job);
    jobs.prepend(shown.element);
    watch(job, shown, ending.signal, refresh);
  }

  function card(facts) {
    const name = facts.collection;
    const more = el("div", {});
    const show = el("button", { type: "button", class: "quiet small", "aria-expanded": "false", onclick: async () => {
      const open = more.childElementCount > 0;
      replace(more, open ? null : await details(name));
      show.setAttribute("aria-expanded", String(!open));
    } }, "Details");
    if (facts.error) return el("section", { class: "card stack" }, el("h2", {}, name), failure({ message: facts.error }));
    return el("section", { class: "card stack" },
      el("div", { class: "row between" },
        el("h2", {}, el("a", { href: `#/search?${query({ c: name })}` }, name)),
        el("div", { class: "row" },
          el("button", { type: "button", class: "quiet small", onclick: () => panel.choose(name) }, "Add"),
          show,
          el("button", { type: "button", class: "danger small", "aria-label": `Remove ${name}`, onclick: () => remove(name) }, "Remove"))),
      el("div", { class: "facts" },
        el("span", {}, el("b", {}, facts.documents.toLocaleString("en")), " documents"),
        el("span", {}, el("b", {}, facts.chunks.toLocaleString("en")), " passages"),
        el("span", {}, el("b", {}, facts.model), ` · ${facts.dimension} dimensions`),
        el("span", {}, `changed ${when(facts.updated)}`)),
      facts.moving ? moving(name, facts.moving) : null,
      failed(name),
      more);
  }

  function moving(name, { model, dimension, chunks, of }) {
    return el("div", { class: "stack" },
      el("p", { class: "small" }, "Moving to ", el("b", {}, model), `, ${dimension} dimensions: ${chunks.toLocaleString("en")} of ${counted(of, "passage")} embedded. Until then it is searched as it is.`),
      el("progress", { max: of || 1, value: chunks, "aria-label": `Moving ${name}` }));
  }

  // What the last run could not index.
  function failed(name) {
    const failures = lastRuns.find((job) => job.collection === name)?.result?.failures ?? [];
    return failures.length ? el("p", { class: "small state failed" }, `${counted(failures.length, "document")} could not be indexed in the last run, see above`) : null;
  }

  async function details(name) {
    try {
      const all = await call(under(name));
      return el("div", { class: "stack" },
        el("div", { class: "facts" },
          el("span", {}, size(all.bytes)), el("span", {}, counted(all.segments.length, "segment")),
          el("span", {}, counted(all.segments.reduce((sum, each) => sum + each.deleted, 0), "dead passage")),
          el("span", {}, vectorsOf(all.segments)), el("span", {}, wordsOf(all.segments)),
          el("span", {}, cutBy(all.chunker)),
          el("span", { class: "mono" }, `digest ${all.digest.slice(0, 12)}`),
          el("span", {}, `made ${when(all.created)}`), el("span", { class: "mono" }, all.folder)),
        el("ul", { class: "files", tabindex: "0", "aria-label": `Documents of ${name}` }, ...all.files.slice(0, 1000).map((file) =>
          el("li", {}, el("span", {}, file.path), el("span", { class: "muted" }, String(file.chunks))))));
    } catch (error) { return failure(error); }
  }

  async function remove(name) {
    if (!await confirmed(`Remove ${name}?`, "Its passages and vectors go. The documents stay where they are.", "Remove")) return;
    try { await call(under(name), { method: "DELETE" }); await refresh(); } catch (error) { list.prepend(failure(error)); }
  }

  await refresh();
  for (const job of lastRuns.slice(0, 5).reverse()) started(job);
  return { destroy() { ending.abort(); } };
}

function vectorsOf(segments) {
  const indexed = segments.filter((each) => each.index);
  if (!indexed.length) return "every vector is compared";
  const recall = Math.min(...indexed.map((each) => each.index.recall));
  return `vector index of ${counted(indexed.reduce((sum, each) => sum + each.rows, 0), "passage")}, recall ${recall.toFixed(3)}`;
}

function cutBy({ strategy, max_tokens: most, overlap_tokens: overlap }) {
  return [`cut by ${strategy ?? "structure"}`, most ? `${most} tokens at the most` : "", overlap ? `${overlap} shared` : ""].filter(Boolean).join(", ");
}

function wordsOf(segments) {
  return segments.every((each) => each.lexical) ? "words indexed" : "words are indexed at the next search";
}

function indexPanel(app, started) {
  const name = el("input", { id: "index-name", required: true, pattern: NAME, autocomplete: "off", placeholder: "notes", value: app.collection });
  const path = el("input", { id: "index-path", list: "folders", autocomplete: "off", spellcheck: false, placeholder: "a folder of the server" });
  const folders = el("datalist", { id: "folders" });
  const model = el("input", { id: "index-model", autocomplete: "off", placeholder: "the collection’s, or all-minilm" });
  const problem = el("div", {});
  const chosen = el("input", { type: "file", multiple: true, id: "files", class: "visually-hidden", onchange: () => { upload([...chosen.files]); chosen.value = ""; } });
  const drop = el("div", { class: "drop", id: "drop" },
    el("p", {}, "Drop files here"),
    el("button", { type: "button", class: "quiet small", onclick: () => chosen.click() }, "Choose files"), chosen,
    el("div", { class: "small", id: "uploading", role: "status" }));
  chosen.setAttribute("aria-label", "Files to upload");
  chosen.tabIndex = -1;
  const form = el("form", { class: "card stack", onsubmit: async (event) => {
    event.preventDefault();
    await start({ paths: [path.value] });
  } },
    el("h2", {}, "Add documents"),
    el("div", { class: "grid2" },
      el("div", { class: "field" }, el("label", { for: "index-name" }, "Collection"), name, el("span", { class: "help" }, "A new name makes a new one")),
      el("div", { class: "field" }, el("label", { for: "index-model" }, "Embedding model"), model, el("span", { class: "help" }, "For a new collection"))),
    el("div", { class: "field" }, el("label", { for: "index-path" }, "Folder or file"), el("div", { class: "row" }, path, el("button", {}, "Index")), folders,
      el("span", { class: "help", id: "roots" })),
    drop, problem);
  path.classList.add("grow");

  async function start(body) {
    replace(problem);
    if (!name.reportValidity()) return;
    try {
      started(await call(under(name.value, "/index"), { method: "POST", body: { ...body, ...(model.value ? { model: model.value } : {}) } }));
    } catch (error) { replace(problem, failure(error)); }
  }

  async function upload(files) {
    if (!files.length || !name.reportValidity()) return;
    const said = drop.querySelector("#uploading");
    const bar = el("progress", { max: files.length, value: 0, "aria-label": "Uploaded" });
    const failed = [];
    for (const [at, file] of files.entries()) {
      replace(said, el("p", {}, `${file.name}, ${size(file.size)}`), bar);
      try {
        await call(under(name.value, `/uploads/${encodeURIComponent(file.name)}`), { method: "PUT", file });
      } catch (error) { failed.push(`${file.name}: ${error.message}`); }
      bar.value = at + 1;
    }
    replace(said, el("p", {}, `${counted(files.length - failed.length, "file")} uploaded`),
      failed.length ? el("ul", { class: "failures" }, ...failed.map((text) => el("li", {}, text))) : null);
    if (failed.length < files.length) await start({ uploads: true });
  }

  async function suggest() {
    try {
      const typed = path.value.slice(0, path.value.lastIndexOf("/") + 1);
      const found = await call(`/api/folders?${query({ path: typed || "." })}`);
      replace(folders, ...found.folders.map((each) => el("option", { value: `${typed}${each}/` })));
      form.querySelector("#roots").textContent = `Below ${found.roots.join(", ")}`;
    } catch { replace(folders); }
  }
  path.addEventListener("focus", suggest);
  path.addEventListener("input", () => { if (path.value.endsWith("/") || !path.value) suggest(); });
  suggest();

  for (const kind of ["dragenter", "dragover"]) drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
  for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.remove("over"); });
  drop.addEventListener("drop", (event) => upload([...event.dataTransfer.files].filter((file) => file.size || file.type)));
  return { element: form, choose(chosenName) { name.value = chosenName; path.focus(); form.scrollIntoView({ block: "center" }); } };
}

