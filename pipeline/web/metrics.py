"""Counters for Prometheus: requests come in, the text format 0.0.4 goes out."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable

TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the histogram's buckets, in seconds."""


class Metrics:
    """Thread-safe. An operation is the name that the OpenAPI document gives it, so there are few of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: Counter[str] = Counter()

    def answered(self, operation: str, method: str, status: int, seconds: float) -> None:
        """A request was answered after `seconds`; a streamed reply counts until it begins."""
        with self._lock:
            self._requests[operation, method, status] += 1
            buckets = self._buckets.setdefault(operation, [0] * (len(BOUNDS) + 1))
            buckets[next((at for at, bound in enumerate(BOUNDS) if seconds <= bound), len(BOUNDS))] += 1
            self._seconds[operation] += seconds  # type: ignore[assignment]  # a Counter adds floats as well

    def text(self, gauges: Iterable[tuple[str, str, dict[str, str], float]]) -> str:
        """All counters, and `gauges`: name, help, labels and value of each, those of one name together."""
        lines = [
            "# HELP pipeline_http_requests_total Requests that were answered.",
            "# TYPE pipeline_http_requests_total counter",
        ]
        with self._lock:
            for (operation, method, status), count in sorted(self._requests.items()):
                labels = _labels({"operation": operation, "method": method, "status": str(status)})
                lines.append(f"pipeline_http_requests_total{labels} {count}")
            lines += [
                "# HELP pipeline_http_request_seconds Time until a reply began.",
                "# TYPE pipeline_http_request_seconds histogram",
            ]
            for operation, buckets in sorted(self._buckets.items()):
                lines += _histogram(operation, buckets, self._seconds[operation])
        last = ""
        for name, help_text, labels, value in gauges:
            if name != last:
                lines += [f"# HELP {name} {help_text}", f"# TYPE {name} gauge"]
                last = name
            lines.append(f"{name}{_labels(labels)} {value:g}")
        return "\n".join(lines) + "\n"


def _histogram(operation: str, buckets: list[int], seconds: float) -> list[str]:
    name, total = "pipeline_http_request_seconds", 0
    lines: list[str] = []
    for bound, count in zip((*BOUNDS, float("inf")), buckets, strict=True):
        total += count
        limit = "+Inf" if bound == float("inf") else f"{bound:g}"
        lines.append(f"{name}_bucket{_labels({'operation': operation, 'le': limit})} {total}")
    labels = _labels({"operation": operation})
    return [*lines, f"{name}_sum{labels} {seconds:.6f}", f"{name}_count{labels} {total}"]


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    escaped = {
        key: value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for key, value in labels.items()
    }
    return "{" + ",".join(f'{key}="{value}"' for key, value in escaped.items()) + "}"
