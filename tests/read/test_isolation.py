"""The worker process: kept warm, limited in time and memory, replaced when it dies, gone when its parent is."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import openpyxl
import pytest

from pipeline.errors import MissingExtra, ReadError
from pipeline.installed import install_command
from pipeline.read.formats import Parsed, Unreadable
from pipeline.read.frames import packed, unpacked
from pipeline.read.isolation import Limits, ParserFailed, Worker
from pipeline.types import Block

MAIL = b"From: tern@sea\nSubject: Tides\n\nat six\n"


@pytest.fixture
def worker() -> object:
    made = Worker()
    yield made
    made.close()


def is_running(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return b") Z" not in Path(f"/proc/{process_id}/stat").read_bytes() if Path("/proc").exists() else True


def wait_until_gone(process_id: int) -> bool:
    deadline = time.monotonic() + 30
    while is_running(process_id) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_running(process_id)


def crowded_workbook(rows: int) -> bytes:
    """A spreadsheet whose reader needs much more than the file has: two cells in opposite corners."""
    target = io.BytesIO()
    book = openpyxl.Workbook()
    book.active["A1"] = "first"
    book.active.cell(rows, 16_384).value = "last"
    book.save(target)
    return target.getvalue()


def test_one_worker_is_kept(worker: Worker) -> None:
    """All files go to the same process, and a parser's error does not end it."""
    assert worker.process_id is None
    assert worker.parse("email", MAIL).title == "Tides"
    first = worker.process_id
    with pytest.raises(Unreadable, match="is no e-mail"):
        worker.parse("email", b"\nno headers")
    assert worker.parse("email", MAIL).text.endswith("at six")
    assert worker.process_id == first


def test_worker_that_dies_is_replaced(worker: Worker) -> None:
    """A process that is killed costs nothing but its start."""
    worker.parse("email", MAIL)
    first = worker.process_id
    assert first is not None
    os.kill(first, signal.SIGKILL)
    # Dead, though not waited for: a signal takes its time.
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    assert wait_until_gone(first)
    assert worker.parse("email", MAIL).title == "Tides"
    assert worker.process_id != first


def test_time_limit() -> None:
    """A file that takes too long is given up, its process killed, and the next file read by another."""
    worker = Worker(Limits(seconds=0.001))
    with pytest.raises(Unreadable, match=r"took longer than 0\.001 seconds") as caught:
        worker.parse("email", MAIL)
    assert caught.value.hint == "split it, or name it in .pipelineignore to leave it out"
    assert worker.process_id is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits address space")
def test_memory_limit() -> None:
    """A small file that takes gigabytes to read is refused, and the next file is read."""
    worker = Worker(Limits(memory=2**29))
    with pytest.raises(Unreadable, match="takes more than 512 MiB of memory to read"):
        worker.parse("xlsx", crowded_workbook(1_000_000))
    assert worker.parse("email", MAIL).title == "Tides"
    worker.close()


def test_worker_that_has_grown_is_replaced(worker: Worker) -> None:
    """What one large file took is given back: the process ends after its reply."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", bytes(300 * 2**20))
    worker.parse("email", MAIL)
    parsed = worker.parse("archive", target.getvalue())
    assert parsed.notices == ("1 file not read: larger than 256 MiB",)
    assert worker.process_id is not None
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.pdf", b"x" * (250 * 2**20))
        archive.writestr("b.pdf", b"x" * (250 * 2**20))
    worker.parse("archive", target.getvalue())
    assert worker.process_id is None


def test_fork_has_a_worker_of_its_own(worker: Worker) -> None:
    """A process that was forked does not mix its files with those of the other."""
    worker.parse("email", MAIL)
    first = worker.process_id
    child = os.fork()
    if child == 0:
        forked = worker.parse("email", MAIL)
        own = worker.process_id
        worker.close()
        os._exit(0 if forked.title == "Tides" and own not in (None, first) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert worker.parse("email", MAIL).title == "Tides"
    assert worker.process_id == first


def test_threads_share_a_worker(worker: Worker) -> None:
    """Files of several threads are read one after another, each with its own result."""
    titles: list[str] = []

    def parse(number: int) -> None:
        titles.append(worker.parse("email", b"Subject: %d\n\nx\n" % number).title)

    threads = [threading.Thread(target=parse, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(titles, key=int) == [str(number) for number in range(20)]


def test_parsed_files_survive_the_way() -> None:
    """What goes into a frame comes out of it."""
    parsed = Parsed(
        text="Größe 🌊",
        blocks=(Block(start=0, end=5, kind="heading", level=2, title="Größe"),),
        title="t",
        metadata={"a": "b"},
        source_lines=((0, 1),),
        pages=((0, 3),),
        notices=("n",),
    )
    assert unpacked(packed(parsed)) == parsed


def test_failure_of_a_parser_is_named(worker: Worker) -> None:
    """Whatever a library raises comes back as one line that names it."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("other.txt", "text")
    with pytest.raises(ParserFailed, match=r"^KeyError: "):
        worker.parse("pptx", target.getvalue())


CALLER = """
import sys, time
from pathlib import Path
from pipeline.read.isolation import Worker
worker = Worker()
print(worker.parse("email", {mail!r}).title, worker.process_id, flush=True)
{then}
"""


def caller(folder: Path, then: str) -> subprocess.Popen[str]:
    """A program of its own that reads a mail, says which process did, and goes on."""
    script = folder / "caller.py"
    script.write_text(CALLER.format(mail=MAIL, then=then))
    return subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def worker_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    title, process_id = process.stdout.readline().split()
    assert title == "Tides"
    return int(process_id)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_orphan(tmp_path: Path, end: signal.Signals) -> None:
    """However the reading process ends, its worker goes with it; a script needs no guard around its code."""
    with caller(tmp_path, "time.sleep(60)") as process:
        worker_id = worker_of(process)
        process.send_signal(end)
        process.wait(30)
    assert wait_until_gone(worker_id)


def test_interrupt_while_a_file_is_parsed(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a file ends the wait and the worker, busy as it is."""
    large = b"From: a@b\nSubject: x\n\n" + b"> word\n" * 3_000_000
    (tmp_path / "large.eml").write_bytes(large)
    then = f"""
try:
    print("busy", flush=True)
    for _ in range(100):
        worker.parse("email", Path({str(tmp_path / "large.eml")!r}).read_bytes())
except KeyboardInterrupt:
    print("interrupted", worker.process_id, flush=True)
"""
    with caller(tmp_path, then) as process:
        worker_id = worker_of(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "busy\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted None\n"
        assert process.wait(30) == 0
    assert wait_until_gone(worker_id)


def test_worker_imports_nothing_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file `email.py` among the documents is not run."""
    for name in ("email", "html", "pipeline"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    worker = Worker()
    assert worker.parse("email", MAIL).title == "Tides"
    worker.close()


MISSING = """
import sys
sys.path.insert(0, {stubs!r})
from pathlib import Path
from pipeline.read import read_document
from pipeline.errors import ReadError
try:
    read_document(Path({path!r}))
except ReadError as error:
    print(type(error.__cause__).__name__, error.message, error.hint, sep="|")
"""


@pytest.mark.parametrize(
    ("suffix", "library"),
    [("pdf", "pypdfium2"), ("docx", "mammoth"), ("pptx", "pptx"), ("xlsx", "python_calamine")],
)
def test_missing_extra_is_named(tmp_path: Path, suffix: str, library: str) -> None:
    """Where a library is not installed, the file's failure names the extra and how to install it."""
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    (stubs / f"{library}.py").write_text("raise ModuleNotFoundError('not here')")
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("other.txt", "text")
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(target.getvalue())
    done = subprocess.run(
        [sys.executable, "-c", MISSING.format(stubs=str(stubs), path=str(path))],
        capture_output=True,
        text=True,
        check=True,
    )
    cause, message, hint = done.stdout.strip().split("|")
    shown = {"python_calamine": "python-calamine", "pptx": "python-pptx"}.get(library, library)
    assert cause == MissingExtra.__name__
    assert message == f"cannot be read as {suffix}: {shown} is not installed; {install_command('documents')}"
    assert hint == install_command("documents")


def test_zip_bomb(tmp_path: Path) -> None:
    """A file that expands to more than is read is refused by what it says of itself, before anything is expanded."""
    path = tmp_path / "a.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            archive.writestr(f"word/document{number}.xml", bytes(256 * 2**20))
    from pipeline.read import read_document

    with pytest.raises(ReadError, match=r"expands to 1280 MiB in 5 files, more than is read"):
        read_document(path)
