"""POST /api/generate: a prompt comes in, its continuation goes out, as a stream of lines or whole."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from pipeline.server import decode, generation, prompts
from pipeline.server.durations import now_text
from pipeline.server.engine import EngineStream
from pipeline.server.exchange import Refusal, Reply, Request, json_reply
from pipeline.server.facts import THINKING
from pipeline.server.generation import Line, Work
from pipeline.server.service import Service

_GENERATE: dict[str, decode.Check] = {
    "model": decode.string,
    "prompt": decode.string,
    "suffix": decode.string,
    "system": decode.string,
    "template": decode.string,
    "context": decode.integers,
    "stream": decode.boolean,
    "raw": decode.boolean,
    "format": decode.anything,
    "keep_alive": decode.keep_alive,
    "images": decode.strings,
    "options": decode.mapping,
    "think": decode.think,
    "truncate": decode.boolean,
    "logprobs": decode.boolean,
    "top_logprobs": decode.integer,
}


def generate(service: Service, request: Request) -> Reply:
    started = time.perf_counter()
    given = decode.decode(request.body, "GenerateRequest", _GENERATE)
    if not 0 <= given.get("top_logprobs", 0) <= 20:
        raise Refusal(400, "top_logprobs must be between 0 and 20")
    name = given.get("model", "").strip()
    if not name:
        raise Refusal(404, "model '' not found")
    chosen = service.choose(name, unknown="model '{}' not found")
    prompt = given.get("prompt", "")
    if not prompt and given.get("keep_alive") == 0:
        service.pool.unload(chosen.model)
        return _empty(name, "unload")
    _check(given)
    generation.check_request(given, chosen, what="generate")
    if given.get("suffix"):
        generation.require(chosen, "insert", "insert")
    answer_format = generation.schema(given.get("format"))
    work = generation.begin(service, request, chosen, given, started)
    try:
        if not prompt:
            work.lease.release()
            return _empty(name, "load")
        text = _prompt_text(work, prompt, given)
        body = _engine_request(work, text, given, answer_format)
        return generation.reply(
            work,
            "/completion",
            body,
            lines=lambda stream: _lines(work, stream, text, given),
            merge=None if given.get("stream", True) else _merge,
        )
    except BaseException:
        work.lease.release()
        raise


def _empty(name: str, reason: str) -> Reply:
    line = {"model": name, "created_at": now_text(), "response": "", "done": True, "done_reason": reason}
    return json_reply(line)


def _check(given: dict[str, Any]) -> None:
    if given.get("raw") and (given.get("template") or given.get("system") or given.get("context")):
        raise Refusal(400, "raw mode does not support template, system, or context")
    if given.get("template"):
        raise Refusal(400, "custom templates are not supported: the model's own chat template is used")


def _prompt_text(work: Work, prompt: str, given: dict[str, Any]) -> str:
    if given.get("raw"):
        return prompt
    engine = work.lease.engine
    system = given.get("system") or work.chosen.model.system
    messages: list[Line] = [{"role": "system", "content": system}] if system else []
    if not given.get("context"):
        messages += [dict(message) for message in work.chosen.model.messages]
    messages.append({"role": "user", "content": prompt})
    body: dict[str, Any] = {"messages": messages}
    if THINKING in work.chosen.facts.capabilities:
        body["chat_template_kwargs"] = {"enable_thinking": bool(given.get("think", True))}
    before = engine.detokenize(given["context"]) if given.get("context") else ""
    return before + engine.apply_template(body)


def _engine_request(
    work: Work, text: str, given: dict[str, Any], answer_format: dict[str, Any] | None
) -> dict[str, Any]:
    tokens = work.lease.engine.tokenize(text, with_special=True)
    prompt: str | list[int] = text
    if len(tokens) >= work.context and given.get("truncate", True):
        keep = work.options.num_keep
        prompt = tokens = prompts.cut_prompt(tokens, context=work.context, keep=keep)
    body = generation.engine_body(work, predict=generation.room(work, len(tokens)))
    body["prompt"] = prompt
    if answer_format is not None:
        body["json_schema"] = answer_format
    if given.get("logprobs"):
        body["n_probs"] = max(given.get("top_logprobs", 0), 1)
    return body


def _lines(work: Work, stream: EngineStream, text: str, given: dict[str, Any]) -> Iterable[Line]:
    written: list[str] = []
    for event in stream:
        content = event.get("content", "")
        written.append(content)
        line: Line = {"model": work.chosen.name, "created_at": now_text(), "response": content, "done": False}
        entries = event.get("completion_probabilities") or []
        if entries:
            line["logprobs"] = generation.log_probabilities(entries, top=given.get("top_logprobs", 0))
        if not event.get("stop"):
            if content or entries:
                yield line
            continue
        line["done"] = True
        line["done_reason"] = "length" if event.get("stop_type") == "limit" else "stop"
        if not given.get("raw"):
            line["context"] = work.lease.engine.tokenize(text + "".join(written))
        numbers = {**work.durations(), **generation.metrics(event.get("timings", {}))}
        yield {**line, **generation.without_zeros(numbers)}


def _merge(lines: list[Line]) -> Line:
    if not lines:
        raise Refusal(500, "the engine ended without an answer")
    merged = {**lines[-1], "response": "".join(line["response"] for line in lines)}
    entries = [entry for line in lines for entry in line.get("logprobs", [])]
    return {**merged, **({"logprobs": entries} if entries else {})}
