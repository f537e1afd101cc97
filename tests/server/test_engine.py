"""The engine adapter itself: silence, signals, damaged files, clean-up."""

import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from pipeline.errors import EngineError
from pipeline.server import ModelStore, machine
from pipeline.server.engine import Engine, EnginePlan
from pipeline.server.exchange import Cancellation, RequestCanceled
from tests.server.conftest import CHAT, EMBED

EMBED_PLAN = EnginePlan(context=256, embedding=True, threads=2)


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


def test_engine_is_silent_and_leaves_nothing(store: ModelStore, tmp_path: Path) -> None:
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
    environment = {"TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


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
        engine.close()


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
