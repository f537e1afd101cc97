"""The objects of /v1/responses: the response, which repeats what was asked, its message, its usage."""

from __future__ import annotations

from typing import Any

from pipeline.server.v1.dialect import Line


def response_object(
    given: Line,
    identity: str,
    *,
    created: int,
    completed: int | None,
    status: str,
    output: list[Line],
    usage: Line | None,
) -> Line:
    """Every field that clients read, in the real server's order; what is not supported has its default."""
    return {
        "id": identity,
        "object": "response",
        "created_at": created,
        "completed_at": completed,
        "status": status,
        "incomplete_details": None,
        "model": given.get("model", ""),
        "previous_response_id": None,
        "instructions": given.get("instructions") or None,
        "output": output,
        "error": None,
        "tools": [_tool(tool) for tool in given.get("tools", [])],
        "tool_choice": "auto",
        "truncation": given.get("truncation", "disabled"),
        "parallel_tool_calls": True,
        "text": {"format": given.get("text", {}).get("format") or {"type": "text"}},
        "top_p": given.get("top_p", 1),
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "top_logprobs": 0,
        "temperature": given.get("temperature", 1),
        "reasoning": _reasoning(given.get("reasoning", {})),
        "usage": usage,
        "max_output_tokens": given.get("max_output_tokens"),
        "max_tool_calls": None,
        "store": False,
        "background": given.get("background", False),
        "service_tier": "default",
        "metadata": {},
        "safety_identifier": None,
        "prompt_cache_key": None,
    }


def message_item(identity: str, text: str) -> Line:
    return {
        "id": identity,
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [text_part(text)],
    }


def text_part(text: str) -> Line:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def usage(line: Line) -> Line:
    read, written = line.get("prompt_eval_count", 0), line.get("eval_count", 0)
    return {
        "input_tokens": read,
        "output_tokens": written,
        "total_tokens": read + written,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }


def _tool(tool: Line) -> Line:
    names = ("type", "name", "description", "strict", "parameters")
    shown: dict[str, Any] = {name: tool.get(name) for name in names}
    return {**shown, "tools": tool["tools"]} if tool.get("tools") else shown


def _reasoning(given: Line) -> Line | None:
    found = {name: given[name] for name in ("effort", "summary") if given.get(name)}
    return found or None
