// Jobs as they go on: a bar, counts, failures, a way to stop.

import { call, events } from "./api.js";
import { counted, el, failure, replace, size } from "./dom.js";

const STATES = { waiting: "waiting", running: "running", done: "done", failed: "failed", canceled: "stopped; what was done is kept" };
const ENDED = ["done", "failed", "canceled"];

export function jobCard(job) {
  const title = job.kind === "index" ? `Indexing ${job.collection}` : `Pulling ${job.model}`;
  // These stay, however often what is said beside them changes: a button that is replaced loses the click and the focus.
  const stop = el("button", { type: "button", class: "quiet small", "aria-label": `Stop: ${title}`, onclick: () => call(`/api/jobs/${job.id}`, { method: "DELETE" }).catch(() => {}) }, "Stop");
  const state = el("span", { hidden: true });
  const bar = el("progress", { "aria-label": title });
  const words = el("p", { class: "small muted" });
  const problems = el("div", { class: "stack" });
  const element = el("section", { class: "card stack" }, el("div", { class: "row between" }, el("h2", {}, title), stop, state), bar, words, problems);
  let told = "";

  function update(now) {
    const ended = ENDED.includes(now.state);
    state.hidden = !ended;
    state.className = `state ${now.state}`;
    state.textContent = STATES[now.state];
    stop.hidden = bar.hidden = ended;
    [bar.max, bar.value] = share(now);
    words.textContent = said(now);
    const failures = now.result?.failures ?? now.progress.failures ?? [];
    const tell = JSON.stringify([failures, now.error]);
    if (tell === told) return;
    told = tell;
    replace(problems, now.error ? failure(now.error) : null,
      failures.length ? el("ul", { class: "failures", tabindex: "0", "aria-label": "Failures" }, ...failures.map((each) => el("li", {}, `${each.path}: ${each.error}`))) : null);
  }
  update(job);
  return { element, update };
}

// Of how much, and how far it is.
function share(job) {
  const { files, files_done: filesDone, chunks_planned: planned, chunks_done: done, bytes, bytes_done: bytesDone } = job.progress;
  if (job.kind === "pull") return [bytes || 1, bytesDone ?? 0];
  // Of the chunks only those of files that were read are known: the share of the files stands for the rest.
  return [1, files && planned ? (done / planned) * (filesDone / files) : files ? filesDone / files : 0];
}

function said(job) {
  const { progress, result } = job;
  if (job.kind === "pull") return progress.bytes ? `${progress.status} · ${size(progress.bytes_done)} of ${size(progress.bytes)}` : progress.status ?? STATES[job.state];
  const kept = result ?? progress.kept;
  if (kept) {
    const documents = Object.entries(kept.documents).filter(([, count]) => count).map(([name, count]) => `${count} ${name}`).join(", ") || "none";
    return `documents: ${documents} · ${counted(kept.chunks.embedded, "passage")} embedded, ${kept.chunks.total.toLocaleString("en")} in all · ${job.seconds.toFixed(1)} s`;
  }
  if (!progress.files) return STATES[job.state];
  return `${progress.files_done} of ${counted(progress.files, "file")} · ${progress.chunks_done} of ${counted(progress.chunks_planned, "passage")} · ${progress.failed} failed`;
}

export async function watch(job, shown, signal, ended) {
  if (ENDED.includes(job.state)) return;
  try {
    for await (const [name, now] of events(`/api/jobs/${job.id}/events`, { signal })) {
      shown.update(now);
      if (name === "end") await ended();
    }
  } catch (error) {
    if (error.name !== "AbortError") shown.element.append(failure(error));
  }
}
