"""The engine adapter itself: silence, signals, damaged files, clean-up."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipeline.errors import EngineError
from pipeline.server import ModelStore, machine
from pipeline.server.engine import Engine, EnginePlan
from pipeline.server.engine_socket import EngineStopped
from pipeline.server.exchange import Cancellation, RequestCanceled
from tests.server.conftest import CHAT, EMBED, MODELS

ROOT = Path(__file__).parents[2]
EMBED_PLAN = EnginePlan(context=256, embedding=True, threads=2)


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for sockets: `tmp_path` can be too long for them, and then they would lie elsewhere."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def path_of(store: ModelStore, name: str) -> Path:
    model = store.find(name)
    assert model is not None
    return model.model_path


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.999], ids=["empty", "cut", "nearly whole"])
def test_damaged_file(store: ModelStore, tmp_path: Path, keep: float) -> None:
    """A file that is not whole is an error with a way out, and nothing is left behind."""
    content = path_of(store, EMBED).read_bytes()
    damaged = tmp_path / "cut.gguf"
    damaged.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(EngineError, match="unable to load model") as caught:
        Engine(damaged, EMBED_PLAN)
    assert "pull the model again" in caught.value.hint


def test_engine_is_silent_and_leaves_nothing(store: ModelStore, temporary: Path) -> None:
    """A process that loads, works and just ends prints nothing, keeps its signals and removes its socket."""
    script = textwrap.dedent(
        f"""
        import ctypes, signal
        from pathlib import Path
        from pipeline.server.engine import Engine, EnginePlan
        from pipeline.server.exchange import Cancellation
        getsig = ctypes.pythonapi.PyOS_getsig
        getsig.restype, getsig.argtypes = ctypes.c_void_p, [ctypes.c_int]
        before = [getsig(number) for number in (signal.SIGINT, signal.SIGTERM)]
        text = Engine(Path({str(path_of(store, CHAT))!r}), EnginePlan(context=64, embedding=False, threads=2))
        rows = Engine(Path({str(path_of(store, EMBED))!r}), EnginePlan(context=256, embedding=True, threads=2))
        assert rows.embed(["hello"], Cancellation())[0].shape == (1, 384)
        assert text.tokenize("hello world")
        assert before == [getsig(number) for number in (signal.SIGINT, signal.SIGTERM)]
        """
    )
    environment = {"TMPDIR": str(temporary), "PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(temporary.iterdir()) == []


def test_engine_can_be_closed_at_once(store: ModelStore) -> None:
    """A model that is unloaded as soon as it is loaded leaves no thread of the engine behind to wait for."""
    for _ in range(20):
        Engine(path_of(store, EMBED), EMBED_PLAN).close()


def test_embedding_can_be_called_off(store: ModelStore) -> None:
    """A client that goes away does not wait for its texts, and the engine serves the next one as before."""
    engine = Engine(path_of(store, EMBED), EMBED_PLAN)
    try:
        before, _ = engine.embed(["hello"], Cancellation())
        gone = Cancellation()
        timer = threading.Timer(0.2, gone.set)
        timer.start()
        with pytest.raises(RequestCanceled):
            engine.embed(["word " * 200] * 32, gone)
        timer.join()
        after, _ = engine.embed(["hello"], Cancellation())
        assert (before * after).sum() > 0.999
    finally:
        engine.close(at_once=True)


LONG_TEXTS = ["word " * 200] * 8


def start_embedding(engine: Engine, errors: list[Exception]) -> threading.Thread:
    def embed() -> None:
        try:
            engine.embed(LONG_TEXTS, Cancellation())
        except EngineError as error:
            errors.append(error)

    thread = threading.Thread(target=embed)
    thread.start()
    return thread


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "idle first"])
def test_engine_that_is_closed_hangs_up_on_its_users(store: ModelStore, at_once: bool) -> None:
    """Whoever waits for it gets an error, and so does whoever comes later: an engine with users would never end."""
    engine = Engine(path_of(store, EMBED), EMBED_PLAN)
    errors: list[Exception] = []
    threads = [start_embedding(engine, errors) for _ in range(4)]
    while not engine._native._tasks():
        time.sleep(0.01)
    engine.close(at_once=at_once)
    for thread in threads:
        thread.join()
    assert [type(error) for error in errors] == [EngineStopped] * 4
    with pytest.raises(EngineStopped, match="unloaded"):
        engine.tokenize("hello")


def test_stream_of_an_engine_that_is_closed_is_not_taken_for_whole(store: ModelStore) -> None:
    """A generation that is cut short ends with an error, also where nobody was reading at that moment."""
    engine = Engine(path_of(store, CHAT), EnginePlan(context=512, embedding=False, threads=2))
    stream = engine.stream("/completion", {"prompt": "1 2 3", "n_predict": 400}, Cancellation())
    events = iter(stream)
    assert next(events)["stop"] is False
    engine.close()
    with pytest.raises(EngineStopped, match="broke off"):
        list(events)
    stream.close()


EXITS = {
    "end of main": ("", 0),
    "exception": ("raise SystemExit(3)", 3),
    "interrupt": ("import os, signal; os.kill(os.getpid(), signal.SIGINT); time.sleep(60)", 130),
    "app is closed first": ("app.close()", 0),
}


@pytest.mark.parametrize("after", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("way", list(EXITS))
def test_process_ends_by_itself_whatever_its_engines_do(way: str, after: float, temporary: Path) -> None:
    """Daemon threads that embed, generate and load do not keep it, and its exit status stays what it was."""
    ending, status = EXITS[way]
    script = textwrap.dedent(
        f"""
        import sys, threading, time
        from pathlib import Path
        import httpx
        from pipeline.server import App, InProcessTransport, ModelStore
        app = App(ModelStore(Path({str(MODELS)!r})))
        def ask(path, body):
            with httpx.Client(transport=InProcessTransport(app), base_url="http://embedded", timeout=None) as client:
                client.post(path, json=body)
        embed = {{"model": {EMBED!r}, "input": ["word " * 200] * 1000}}
        generate = {{"model": {CHAT!r}, "prompt": "1 2 3", "stream": False, "options": {{"num_predict": 3000}}}}
        for path, body in (("/api/embed", embed), ("/api/embed", embed), ("/api/generate", generate)):
            threading.Thread(target=ask, args=(path, body), daemon=True).start()
        time.sleep({after})
        try:
            {ending or "pass"}
        except KeyboardInterrupt:
            sys.exit(130)
        """
    )
    environment = {"TMPDIR": str(temporary), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")
    assert list(temporary.iterdir()) == []


def test_interrupted_indexing_ends(store: ModelStore, tmp_path: Path, temporary: Path) -> None:
    """Ctrl-C while the engine in the program's own process embeds the first chunks: it ends, with status 130."""
    command = [sys.executable, "-m", "pipeline", "index", str(ROOT / "sample_corpus"), "--home", str(tmp_path / "home")]
    settings = {"OLLAMA_HOST": "embedded", "OLLAMA_MODELS": str(store.root), "TMPDIR": str(temporary)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **settings}
    ) as process:
        seen_at_work = 0
        while seen_at_work < 20:
            assert process.poll() is None
            seen_at_work += is_at_work(temporary)
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "error: interrupted\n" in errors
    assert "Traceback" not in errors
    assert list(temporary.iterdir()) == []


def is_at_work(folder: Path) -> bool:
    """Whether the engine whose socket lies in `folder` is there and embeds."""
    path = next(folder.glob("pipeline-*/e.sock"), None)
    if path is None:
        return False
    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://engine", timeout=60) as client:
            return "\nllamacpp:requests_processing 0" not in client.get("/metrics").raise_for_status().text
    except httpx.HTTPError:
        return False


def test_forked_child_ends_and_leaves_the_engine_to_its_parent(store: ModelStore, temporary: Path) -> None:
    """The child can ask the engine, ends with its own status, and takes neither engine nor socket with it."""
    script = textwrap.dedent(
        f"""
        import os, sys, warnings
        from pathlib import Path
        from pipeline.server.engine import Engine, EnginePlan
        from pipeline.server.exchange import Cancellation
        warnings.simplefilter("ignore")
        engine = Engine(Path({str(path_of(store, EMBED))!r}), EnginePlan(context=256, embedding=True, threads=2))
        child = os.fork()
        vectors, _ = engine.embed(["hello"], Cancellation())
        if child == 0:
            engine.close()
            del engine
            sys.exit(7 if vectors.shape == (1, 384) else 1)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), engine.embed(["hello"], Cancellation())[0].shape)
        """
    )
    environment = {"TMPDIR": str(temporary), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "7 (1, 384)\n", "")
    assert list(temporary.iterdir()) == []


def test_folder_of_a_killed_process_is_removed(
    store: ModelStore, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the next engine of the same user; folders in use, links, and folders with other things in them stay."""
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    script = textwrap.dedent(
        f"""
        import os, signal
        from pathlib import Path
        from pipeline.server.engine import Engine, EnginePlan
        engine = Engine(Path({str(path_of(store, EMBED))!r}), EnginePlan(context=256, embedding=True, threads=2))
        print(*os.listdir({str(temporary)!r}), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    environment = {"TMPDIR": str(temporary), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    killed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment
    )
    left = temporary / killed.stdout.strip()
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in left.iterdir()] == ["e.sock"]
    gone = left.name.split("-")[1]
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "e.sock").touch()
    (temporary / f"pipeline-{gone}-link").symlink_to(elsewhere)
    (temporary / f"pipeline-{gone}-full").mkdir()
    (temporary / f"pipeline-{gone}-full" / "notes").touch()
    (temporary / f"pipeline-{os.getppid()}-lives").mkdir()
    (temporary / "pipeline-notes").mkdir()
    held = temporary / f"pipeline-{gone}-held"
    held.mkdir()
    lock = os.open(held, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    kept = sorted(path.name for path in temporary.iterdir() if path != left)
    Engine(path_of(store, EMBED), EMBED_PLAN).close()
    assert sorted(path.name for path in temporary.iterdir()) == kept
    assert (elsewhere / "e.sock").exists()
    os.close(lock)
    Engine(path_of(store, EMBED), EMBED_PLAN).close()
    assert not held.exists()


def test_socket_folder_is_private_and_short(store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No one else can enter it, and a long TMPDIR does not make the socket's path too long."""
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    engine = Engine(path_of(store, EMBED), EMBED_PLAN)
    folder = engine._native._folder._path
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.parent == Path("/tmp")
    engine.close()
    engine.close()
    assert not folder.exists()


def test_missing_libgomp_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slim images lack the library: the error says how to get it."""

    def fail(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr("ctypes.CDLL", fail)
    with pytest.raises(EngineError, match="libgomp") as caught:
        machine.check_machine()
    assert "apt-get install -y libgomp1" in caught.value.hint


def test_old_processor_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without AVX2 the import would kill the process: an error comes first."""
    information = tmp_path / "cpuinfo"
    information.write_text("processor : 0\nflags : fpu sse2 fma f16c bmi2\n")
    monkeypatch.setattr(machine, "_CPU_INFO", information)
    with pytest.raises(EngineError, match="AVX2"):
        machine.check_machine()


def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, store: ModelStore) -> None:
    """Without xllamacpp the error says what to install."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(EngineError, match="xllamacpp") as caught:
        Engine(path_of(store, EMBED), EMBED_PLAN)
    assert "[embedded]" in caught.value.hint


def test_cores_are_those_we_may_use() -> None:
    """At least one, at most as many as the process may run on."""
    assert 1 <= machine.usable_cores() <= len(machine._allowed_processors())
