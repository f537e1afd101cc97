// Questions and answers: text that streams in, citations that lead to their passages; or a conversation without documents.

import { call, events, query, under } from "../api.js";
import { el, failure, replace } from "../dom.js";
import { documentLink, hitCard, linesOf, nameOf } from "../passages.js";

const HISTORY = 20;
const threads = new Map();
// Turns stay when another view is looked at; they are gone with the page.

export function mount(element, app) {
  const state = { running: null };
  const thread = threads.get(app.collection) ?? el("div", { class: "thread" });
  threads.set(app.collection, thread);
  const input = el("textarea", { id: "question", rows: 1, "data-main-field": true, "aria-label": "Question", maxlength: "20000",
    placeholder: app.collection ? `Ask ${app.collection} a question` : "Say something to the chat model" });
  const source = el("select", { "aria-label": "Answer from" },
    app.collection ? el("option", { value: "documents" }, `From ${app.collection}`) : null,
    el("option", { value: "chat" }, "Chat model alone"));
  const send = el("button", {}, "Ask");
  const clear = el("button", { type: "button", class: "link", onclick: () => { replace(thread); clear.hidden = true; input.focus(); } }, "Clear");
  clear.hidden = !thread.childElementCount;
  const form = el("form", { class: "card ask-box", onsubmit: submit }, input,
    el("div", { class: "row between" }, el("div", { class: "row" }, source, clear),
      el("div", { class: "row" }, el("span", { class: "small muted" }, el("kbd", {}, "Enter"), " asks"), send)));
  replace(element, el("h1", { class: "visually-hidden" }, "Ask"), form, thread);
  input.value = app.parameters.get("q") ?? "";
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
    if (event.key === "Escape" && state.running) state.running.abort();
  });
  if (matchMedia("(hover: hover)").matches) input.focus({ preventScroll: true });

  async function submit(event) {
    event.preventDefault();
    if (state.running) return state.running.abort();
    const question = input.value.trim();
    if (!question) return undefined;
    input.value = "";
    clear.hidden = false;
    state.running = new AbortController();
    send.textContent = "Stop";
    send.className = "quiet";
    const turn = newTurn(question);
    thread.prepend(turn.element);
    try {
      if (source.value === "documents") await fromDocuments(turn, question, thread, app, state.running.signal);
      else await fromModel(turn, question, thread, state.running.signal);
    } catch (error) {
      turn.stop();
      if (error.name === "AbortError") turn.end(el("p", { class: "note" }, "Stopped."));
      else turn.end(failure(error));
    }
    state.running = null;
    send.textContent = "Ask";
    send.className = "";
    return undefined;
  }
  return { destroy() { state.running?.abort(); } };
}

function newTurn(question) {
  const answer = el("div", { class: "answer" });
  const below = el("div", { class: "stack" });
  const element = el("article", { class: "turn", "aria-busy": "true" }, el("h2", { class: "question" }, question), answer, below);
  const wait = el("p", { class: "muted small writing" }, "Reading the passages ");
  answer.append(wait);
  let text = "";
  return {
    element, answer,
    get text() { return text; },
    add(piece) {
      text += piece;
      answer.classList.add("writing");
      replace(answer, text);
    },
    understood(standalone) { answer.before(el("p", { class: "small muted" }, `Understood as: ${standalone}`)); },
    wait(said) { wait.textContent = `${said} `; },
    stop() {
      answer.classList.remove("writing");
      if (!text) replace(answer);
      element.setAttribute("aria-busy", "false");
    },
    end(...nodes) { below.append(...nodes.filter((node) => node)); },
  };
}

async function fromDocuments(turn, question, thread, app, signal) {
  const collection = app.collection;
  const history = [...thread.children].reverse().flatMap((each) => each.asked ?? []).slice(-HISTORY);
  call(under(collection, `/search?${query({ q: question, k: 5 })}`), { signal }).then(({ hits }) => {
    if (!turn.text && hits.length) turn.wait(`Reading ${[...new Set(hits.map((hit) => nameOf(hit.path)))].join(", ")}`);
  }, () => {});
  let answer = null;
  for await (const [name, value] of events(under(collection, "/ask"), { method: "POST", body: { question, history, stream: true }, signal })) {
    if (name === "piece") turn.add(value.text);
    else if (name === "standalone") turn.understood(value.question);
    else answer = value;
  }
  turn.stop();
  if (answer) finish(turn, answer, collection);
  if (answer) turn.element.asked = [{ question: answer.standalone, answer: answer.answer.replace(/\s*\[\d+\]/g, "") }];
  app.say(answer?.answered ? "The answer is there" : "No answer was found");
}

function finish(turn, answer, collection) {
  const cited = new Map(answer.citations.map((each) => [each.number, each]));
  const link = (number, label) => {
    const hit = answer.hits[number - 1];
    return el("a", { href: documentLink(collection, hit, { quote: cited.get(number)?.quote }), "aria-label": `Source ${number}: ${nameOf(hit.path)}` }, label);
  };
  const parts = answer.answer.split(/(\[\d+\])/).map((part) => {
    const number = Number(/^\[(\d+)\]$/.exec(part)?.[1]);
    return cited.has(number) ? link(number, String(number)) : part;
  });
  replace(turn.answer, ...parts);
  if (answer.citations.length) {
    turn.end(el("div", { class: "sources", role: "list", "aria-label": "Sources" }, ...answer.citations.map((each) => el("div", { role: "listitem" },
      el("a", { class: "source", href: documentLink(collection, answer.hits[each.number - 1], { quote: each.quote }) },
        el("span", { class: "number" }, String(each.number)),
        el("span", {}, el("b", {}, nameOf(each.path)), ` · ${linesOf(each)}`, el("span", { class: "quote" }, each.quote)))))));
  }
  if (!answer.citations.length && answer.hits.length) {
    turn.end(el("p", { class: "muted small" }, answer.answered ? "The passages that were read:" : "The nearest passages:"),
      ...answer.hits.slice(0, 3).map((hit) => hitCard(hit, { collection, words: answer.question })));
  }
  const facts = [answer.model, `${answer.seconds.toFixed(1)} s`];
  if (answer.usage.answer_tokens) facts.push(`${answer.usage.prompt_tokens} tokens read, ${answer.usage.answer_tokens} written`);
  turn.end(...answer.notices.map((text) => el("p", { class: "note" }, text)),
    el("p", { class: "small muted" }, facts.filter(Boolean).join(" · ")));
}

async function fromModel(turn, question, thread, signal) {
  turn.wait("Thinking");
  turn.element.talk = [{ role: "user", content: question }];
  const before = [...thread.children].slice(1).reverse().flatMap((each) => each.talk?.length === 2 ? each.talk : []);
  let model = "";
  for await (const [name, value] of events("/api/chat", { method: "POST", body: { messages: [...before, ...turn.element.talk] }, signal })) {
    if (name === "piece") turn.add(value.text);
    else model = value.model;
  }
  turn.stop();
  turn.element.talk.push({ role: "assistant", content: turn.text });
  turn.end(el("p", { class: "small muted" }, [model, "without documents"].filter(Boolean).join(" · ")));
}
