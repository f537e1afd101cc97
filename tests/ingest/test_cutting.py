"""Reading and cutting, here and in processes beside: the same results in the same order, whatever becomes of a process."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import processes
from pipeline.chunk import ChunkSettings, token_counter
from pipeline.ingest import cutting
from pipeline.ingest.cut import Cut, Unread, cut_file, from_json, to_json
from pipeline.ingest.cutting import FILES_AHEAD, Cutting, Task
from pipeline.read import Found, discover
from pipeline.read.frames import read_frame, write_frame

SETTINGS = ChunkSettings(max_tokens=40)
PREPARED = (SETTINGS, token_counter(None))


def result_of(path: Path) -> Cut | Unread:
    return cut_file(path, None, lambda: PREPARED)


def tasks_of(folder: Path) -> list[Task]:
    found = [item for item in discover([folder]) if isinstance(item, Found)]
    return [Task(found=item, decided_at=0, stored=None) for item in found]


def run_all(cutter: Cutting, tasks: list[Task]) -> Iterator[tuple[Path, Cut | Unread]]:
    """As the run does it: gives files while there is room, and takes the oldest result where there is none."""
    for task in tasks:
        cutter.put(task)
        while cutter and not cutter.has_room:
            taken, result = cutter.take()
            yield taken.found.path, result
            cutter.share(SETTINGS, None)
    while cutter:
        taken, result = cutter.take()
        yield taken.found.path, result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sixty documents of several kinds, among them an empty one and one that is binary."""
    for number in range(58):
        kind = ("md", "rst", "txt", "py")[number % 4]
        text = f"Title {number}\n{'=' * 9}\n\n" + "\n\n".join(f"word{n} “größer” 日本語 " * 9 for n in range(number))
        (tmp_path / f"{number:02}.{kind}").write_text(text, encoding="utf-8")
    (tmp_path / "58.md").write_text("  \n")
    (tmp_path / "59.txt").write_bytes(b"a\0b")
    return tmp_path


@pytest.fixture
def helped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes help from the first file on, whatever this machine has."""
    monkeypatch.setattr(cutting, "WORTH_SHARING", 0)
    for module in (cutting, processes):
        monkeypatch.setattr(module, "available_cores", lambda: 2)


@pytest.mark.usefixtures("helped")
def test_processes_give_what_this_one_gives(folder: Path) -> None:
    """Every document and every chunk is the same, field by field, failures too, in the order of the files."""
    tasks = tasks_of(folder)
    with Cutting(lambda: PREPARED) as cutter:
        shared = list(run_all(cutter, tasks))
        assert len(cutter._workers) == 2
    assert [path for path, _ in shared] == [task.found.path for task in tasks]
    assert shared == [(task.found.path, result_of(task.found.path)) for task in tasks]
    failed = {path.name: result.message for path, result in shared if isinstance(result, Unread)}
    assert failed == {"58.md": "empty", "59.txt": "is a binary file"}
    assert sum(len(result.chunks) for _, result in shared if isinstance(result, Cut)) > 1000


@pytest.mark.usefixtures("helped")
def test_unchanged_content_is_not_cut(folder: Path) -> None:
    """A file whose content has the known hash comes back as unchanged, with no chunks, also from a process."""
    task = tasks_of(folder)[5]
    known = result_of(task.found.path)
    assert isinstance(known, Cut)
    worker = cutting._start(SETTINGS, None)
    try:
        assert worker.process.stdin is not None
        assert worker.process.stdout is not None
        write_frame(worker.process.stdin, [str(task.found.path), known.document.content_hash])
        result = from_json(received(worker.process.stdout))
    finally:
        assert cutting._ended(worker) == 0
    assert result == cut_file(task.found.path, known.document.content_hash, lambda: PREPARED)
    assert isinstance(result, Cut)
    assert (result.chunks, result.unchanged) == ((), True)


@pytest.mark.usefixtures("helped")
def test_process_that_is_killed_costs_one_file(folder: Path) -> None:
    """The file that it was at is reported as out of reach; the others come from the rest, and none is left out."""
    tasks = tasks_of(folder)
    with Cutting(lambda: PREPARED) as cutter:
        results = run_all(cutter, tasks)
        first = [next(results) for _ in range(3)]
        victim = cutter._workers[0].process
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait()
        rest = list(results)
    given = [*first, *rest]
    assert [path for path, _ in given] == [task.found.path for task in tasks]
    lost = [(path, result) for path, result in given if isinstance(result, Unread) and result.out_of_reach]
    assert len(lost) <= 1, "a reply that was already in the pipe is not lost"
    assert all(f"ended with -{signal.SIGKILL:d}" in result.message for _, result in lost)
    good = [(path, result) for path, result in given if (path, result) not in lost]
    assert good == [(path, result_of(path)) for path, _ in good]


@pytest.mark.usefixtures("helped")
def test_no_process_is_left_behind(folder: Path) -> None:
    """A run that stops in the middle ends its processes."""
    with Cutting(lambda: PREPARED) as cutter:
        results = run_all(cutter, tasks_of(folder))
        next(results), next(results)
        processes = [worker.process for worker in cutter._workers]
        assert len(processes) == 2
    assert [process.returncode for process in processes] == [-signal.SIGKILL] * 2


@pytest.mark.usefixtures("helped")
def test_processes_that_cannot_run_are_done_without(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the interpreter is not what it says, every file is cut here, and no other process is started."""
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    tasks = tasks_of(folder)
    with Cutting(lambda: PREPARED) as cutter:
        results = list(run_all(cutter, tasks))
        assert cutter._workers == []
    assert results == [(task.found.path, result_of(task.found.path)) for task in tasks]


def test_process_ends_with_the_run_that_started_it(tmp_path: Path) -> None:
    """A run that is killed leaves no process behind: the pipe's end ends it."""
    program = (
        "import sys, os, signal\n"
        "from pipeline.chunk import ChunkSettings\n"
        "from pipeline.ingest import cutting\n"
        "print(cutting._start(ChunkSettings(), None).process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    started = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    pid = int(started.stdout)
    deadline = time.monotonic() + 60
    while running(pid):
        assert time.monotonic() < deadline, "the process is still there"
        time.sleep(0.05)


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")
    return "State:\tZ" not in status.read_text() if status.exists() else True


def received(stream: Any) -> Any:
    """The next message of a stream that has one."""
    frame = read_frame(stream)
    assert frame is not None
    return frame[0]


def test_names_ahead_fit_a_pipe() -> None:
    """Names as long as a path can be, all of them spelled out, never fill the pipe that a process reads from."""
    stream = io.BytesIO()
    write_frame(stream, ["日" * (4096 // 3), "f" * 64])
    assert FILES_AHEAD * len(stream.getvalue()) < 2**16


def test_small_run_starts_no_process(folder: Path) -> None:
    """What is cut faster than a process starts is cut here."""
    with Cutting(lambda: PREPARED) as cutter:
        assert len(list(run_all(cutter, tasks_of(folder)[:20]))) == 20
        assert cutter._workers == []


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(min_size=1, max_size=300))
def test_results_survive_the_way_between_processes(tmp_path: Path, text: str) -> None:
    """A result written as a frame and read again is the same, for any text that a file can hold."""
    path = tmp_path / "a.md"
    path.write_text("# One\n\nx " + text, encoding="utf-8", errors="replace", newline="")
    result = result_of(path)
    stream = io.BytesIO()
    write_frame(stream, to_json(result))
    stream.seek(0)
    assert from_json(received(stream)) == result


def test_settings_survive_the_way_between_processes() -> None:
    """What a process makes of the settings is what was given."""
    stream = io.BytesIO()
    write_frame(stream, {"settings": asdict(SETTINGS)})
    stream.seek(0)
    assert ChunkSettings(**received(stream)["settings"]) == SETTINGS


def test_cut_frame_is_an_end() -> None:
    """A message that breaks off is the other side's end, and never half a result."""
    stream = io.BytesIO()
    write_frame(stream, {"a": 1})
    assert read_frame(io.BytesIO(stream.getvalue()[:-1])) is None
