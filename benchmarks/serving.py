"""What the wire costs: the embedded server over its socket against its engine called directly, in one run.

A server process of our own does both in turn, round by round: threads that call the engine, then as many clients over
the socket. For each pair it prints the ratio of wall time and of the server's processor time, medians of the rounds;
then the time to the first token, the memory of each loaded model, and the time from the start of a process to its
first vector. Replies are read and not parsed: what clients make of them is theirs.
"""

import argparse
import functools
import http.client
import json
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
EMBED, CHAT = "all-minilm", "smollm2:135m"
CLIENTS = (1, 4, 16)
PASSAGE = "The quick brown fox jumps over the lazy dog, and nobody in the whole village is surprised by it. " * 7
QUERY = "how often are the keys of the signing service rotated, and by whom?"
PROMPT = "1 2 3 4 5 6 7 8"
TOKENS = 48
JOBS = {"passages": [PASSAGE] * 8, "query": [QUERY], "generate": []}
"""What one request of each job asks for: 8 passages of some 150 tokens, one query of 16, or 48 generated tokens."""


class Server:
    """The process under test, seen from outside: commands are lines of JSON on its stdin."""

    def __init__(self, models: Path) -> None:
        command = [sys.executable, __file__, "--serve", "--models", str(models)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = urlsplit(self._read()["url"]).netloc
        self.pid = self._process.pid

    def ask(self, **command: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def memory(self) -> int:
        """Resident MiB."""
        text = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmRSS:\s+(\d+) kB", text)
        assert found is not None
        return int(found[1]) // 1024

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


def serve(models: Path) -> None:
    """The process under test: an App on a socket, and one more engine of each model for direct calls."""
    from pipeline.server import App, ModelStore, ServerSettings, run_in_thread
    from pipeline.server.engine import Engine, EnginePlan
    from pipeline.server.exchange import Cancellation
    from pipeline.server.facts import model_facts
    from pipeline.server.machine import usable_cores

    store = ModelStore(models)
    engines: dict[str, Engine] = {}
    turn = threading.Lock()

    def engine(name: str) -> Engine:
        if name not in engines:
            model = store.find(name)
            assert model is not None
            facts = model_facts(model.model_path)
            context = 256 if facts.is_embedding else 4096
            plan = EnginePlan(
                context=context, embedding=facts.is_embedding, threads=usable_cores(), quantized=facts.quantized
            )
            engines[name] = Engine(model.model_path, plan)
        return engines[name]

    def call(job: str) -> float:
        """Seconds to the first token, or to the vectors."""
        started = time.perf_counter()
        if job != "generate":
            engine(EMBED).embed(JOBS[job], Cancellation())
            return time.perf_counter() - started
        with turn:
            body = {"prompt": PROMPT, "n_predict": TOKENS, "temperature": 0, "seed": 1, "cache_prompt": True}
            stream = engine(CHAT).stream("/completion", body, Cancellation())
            events = iter(stream)
            next(events)
            first = time.perf_counter() - started
            for _ in events:
                pass
            stream.close()
            return first

    with App(store, ServerSettings(keep_alive=float("inf"))) as app, run_in_thread(app) as url:
        print(json.dumps({"url": url}), flush=True)
        for line in sys.stdin:
            command = json.loads(line)
            answer: dict[str, Any] = {"processor": time.process_time()}
            if "job" in command:
                job = functools.partial(call, command["job"])
                answer = timed(job, command["clients"], command["requests"], time.process_time)
            print(json.dumps(answer), flush=True)
        for loaded in engines.values():
            loaded.close()


def timed(call: Callable[[], float], clients: int, requests: int, processor: Callable[[], float]) -> dict[str, Any]:
    before, started = processor(), time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        first = list(threads.map(lambda _: call(), range(requests)))
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "processor": processor() - before, "first": statistics.median(first)}


def over_the_wire(server: Server, job: str, clients: int, requests: int) -> dict[str, Any]:
    connections = threading.local()

    def call() -> float:
        if not hasattr(connections, "kept"):
            connections.kept = http.client.HTTPConnection(server.address, timeout=600)
        started = time.perf_counter()
        if job != "generate":
            path, body = "/api/embed", {"model": EMBED, "input": JOBS[job]}
        else:
            options = {"num_predict": TOKENS, "temperature": 0, "seed": 1}
            path, body = "/api/generate", {"model": CHAT, "prompt": PROMPT, "raw": True, "options": options}
        connections.kept.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        response = connections.kept.getresponse()
        assert response.status == 200
        response.readline()
        first = time.perf_counter() - started
        response.read()
        return first

    return timed(call, clients, requests, lambda: server.ask()["processor"])


def compare(server: Server, job: str, clients: int, rounds: int) -> dict[str, Any]:
    """Medians over interleaved rounds. `wall` and `processor` are what the wire takes, over what the engine takes."""
    requests = 48 if job == "query" else max(clients, 4)
    pairs: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for number in range(rounds + 1):
        direct = server.ask(job=job, clients=clients, requests=requests)
        wire = over_the_wire(server, job, clients, requests)
        if number:  # the first round loads and warms
            pairs.append((direct, wire))
    units = requests * (TOKENS if job == "generate" else len(JOBS[job]))
    direct_seconds = statistics.median(direct["seconds"] for direct, _ in pairs)
    return {
        "job": job,
        "clients": clients,
        "direct_per_second": round(units / direct_seconds, 1),
        "wire_per_second": round(units / statistics.median(wire["seconds"] for _, wire in pairs), 1),
        "wall": round(statistics.median(wire["seconds"] / direct["seconds"] for direct, wire in pairs), 3),
        "processor": round(statistics.median(wire["processor"] / direct["processor"] for direct, wire in pairs), 3),
        "first_direct_ms": round(1000 * statistics.median(direct["first"] for direct, _ in pairs), 1),
        "first_wire_ms": round(1000 * statistics.median(wire["first"] for _, wire in pairs), 1),
    }


def memory(models: Path) -> dict[str, int]:
    """Resident MiB of a server with nothing loaded, and how much each model adds, its first request included."""
    server = Server(models)
    figures = {"nothing": server.memory()}
    for job, name in (("passages", EMBED), ("generate", CHAT)):
        before = server.memory()
        over_the_wire(server, job, 1, 2)
        figures[name] = server.memory() - before
    server.close()
    return figures


def cold_start(models: Path) -> tuple[float, float]:
    """Seconds from the start of `pipeline serve` until it listens, and until it has given its first vector."""
    command = [sys.executable, "-m", "pipeline", "serve", "--host", "127.0.0.1:0", "--json"]
    started = time.perf_counter()
    environment = {"OLLAMA_MODELS": str(models), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(models)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        address = urlsplit(json.loads(process.stdout.readline())["url"]).netloc
        listening = time.perf_counter() - started
        connection = http.client.HTTPConnection(address, timeout=600)
        connection.request("POST", "/api/embed", json.dumps({"model": EMBED, "input": QUERY}))
        assert connection.getresponse().read()
        first = time.perf_counter() - started
        connection.close()
        process.terminate()
    return listening, first


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="a model store that has both models")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", nargs="+", choices=list(JOBS), default=list(JOBS))
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.serve:
        serve(given.models)
        return
    server = Server(given.models)
    for job in given.jobs:
        for clients in CLIENTS:
            print(json.dumps(compare(server, job, clients, given.rounds)), flush=True)
    server.close()
    print(json.dumps({"memory_mib": memory(given.models)}), flush=True)
    starts = [cold_start(given.models) for _ in range(given.rounds)]
    listening, first = (statistics.median(column) for column in zip(*starts, strict=True))
    print(json.dumps({"listening_seconds": round(listening, 2), "first_vector_seconds": round(first, 2)}))


if __name__ == "__main__":
    main()
