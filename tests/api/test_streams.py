"""Streamed replies: any split of bytes, errors in the middle, early ends."""

import asyncio
import threading
import time
from typing import Any

import pytest

from pipeline.api import AsyncClient, Client, RetryPolicy
from pipeline.errors import (
    BadReply,
    ModelNotFound,
    PipelineError,
    ServerError,
    ServerTimeout,
    ServerUnreachable,
    StreamInterrupted,
)
from tests.api.conftest import Ask
from tests.api.scripted_server import Answer, Script, lines

TEXT = ["Gr\u00fc\u00dfe,\u0085", " \u2028\u2029", "\U0001f40c"]
PIECES: list[dict[str, Any]] = [{"model": "m", "response": text, "done": False} for text in TEXT]
LAST: dict[str, Any] = {"model": "m", "response": "", "done": True, "done_reason": "stop", "eval_count": 3}
STREAM = lines(*PIECES, LAST)


def text_of(replies: list[Any]) -> str:
    return "".join(reply.response for reply in replies)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_any_split_of_bytes(script: Script, ask: Ask, size: int) -> None:
    """Lines are lines however the bytes are cut, and U+0085 and U+2028 end none."""
    script.answers = [Answer(pieces=tuple(STREAM[at : at + size] for at in range(0, len(STREAM), size)))]
    replies = ask("generate_stream", "m", "p")
    assert text_of(replies) == "".join(TEXT)
    assert (len(replies), replies[-1].done, replies[-1].eval_count) == (4, True, 3)


@pytest.mark.parametrize("end", [b"\r\n", b"\n\n"])
def test_other_line_ends(script: Script, ask: Ask, end: bytes) -> None:
    """Carriage returns and empty lines do no harm."""
    script.answers = [Answer(pieces=(lines(*PIECES, LAST, end=end),))]
    assert text_of(ask("generate_stream", "m", "p")) == "".join(TEXT)


def test_last_line_without_an_end(script: Script, ask: Ask) -> None:
    """A stream that ends without a line end is whole all the same."""
    script.answers = [Answer(pieces=(STREAM.rstrip(b"\n"),))]
    assert len(ask("generate_stream", "m", "p")) == 4


def test_error_in_mid_stream(script: Script, ask: Ask) -> None:
    """An error object in a line of status 200 is raised with the server's words, and nothing is tried again."""
    script.answers = [Answer(pieces=(lines(PIECES[0]), lines({"error": "llama runner has terminated"})))]
    with pytest.raises(ServerError, match="llama runner has terminated") as caught:
        ask("generate_stream", "m", "p")
    assert caught.value.server_text == "llama runner has terminated"
    assert len(script.asked) == 1


def test_pull_of_an_unknown_model(script: Script, ask: Ask) -> None:
    """A pull fails in its stream, and the error is that of an unknown model."""
    script.answers = [
        Answer(pieces=(lines({"status": "pulling manifest"}, {"error": "pull model manifest: file does not exist"}),))
    ]
    with pytest.raises(ModelNotFound):
        ask("pull_stream", "m")


@pytest.mark.parametrize("cut", [False, True], ids=["ended", "reset"])
def test_end_without_done(script: Script, ask: Ask, cut: bool) -> None:
    """A stream that stops early is an error that carries what had come; it is not tried again."""
    script.answers = [Answer(pieces=(lines(*PIECES[:2]),), cut=cut)]
    with pytest.raises(StreamInterrupted) as caught:
        ask("generate_stream", "m", "p")
    assert caught.value.partial == "".join(TEXT[:2])
    assert len(script.asked) == 1


def test_line_that_is_no_json(script: Script, ask: Ask) -> None:
    """Half a line at the end is no reply."""
    script.answers = [Answer(pieces=(lines(PIECES[0]), b'{"model": "m", "resp'))]
    with pytest.raises(BadReply):
        ask("generate_stream", "m", "p")


def test_stream_is_tried_again_only_before_it_begins(script: Script, ask: Ask) -> None:
    """A busy server before the first line is a reason to wait."""
    busy = Answer(status=503, pieces=(lines({"error": "server busy"}),))
    script.answers = [busy, busy, Answer(pieces=(STREAM,))]
    assert text_of(ask("generate_stream", "m", "p")) == "".join(TEXT)
    assert len(script.asked) == 3


def test_silence_in_mid_stream_times_out(script: Script, ask: Ask) -> None:
    """The time limit counts from piece to piece."""
    script.answers = [Answer(pieces=(STREAM,), delay=1.0)]
    with pytest.raises(ServerTimeout):
        ask("generate_stream", "m", "p", settings={"timeout": 0.05, "retry": None}, options={"x": 1})


ENDLESS = Answer(pieces=tuple([lines(PIECES[0])] * 200_000))


def wait_for_broken_pipe(script: Script) -> None:
    deadline = time.monotonic() + 10
    while script.broken_pipes == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert script.broken_pipes == 1


def test_closing_early_tells_the_server(script: Script) -> None:
    """Whoever has read enough closes the iterator; the connection goes, and the server notices."""
    script.answers = [ENDLESS]
    with Client(script.url) as client:
        stream = client.generate_stream("m", "p")
        assert next(stream).response == TEXT[0]
        stream.close()  # type: ignore[attr-defined]
        wait_for_broken_pipe(script)


def test_closing_an_async_stream_early(script: Script) -> None:
    """The same for asyncio."""
    script.answers = [ENDLESS]

    async def read_one() -> None:
        async with AsyncClient(script.url) as client:
            stream = client.generate_stream("m", "p")
            assert (await anext(stream)).response == TEXT[0]
            await stream.aclose()  # type: ignore[attr-defined]
            await asyncio.to_thread(wait_for_broken_pipe, script)

    asyncio.run(read_one())


def test_closing_the_client_wakes_who_waits(script: Script) -> None:
    """A thread that waits for a reply when the client is closed ends with an error, and does not wait for it."""
    script.answers = [Answer(pieces=(b"{}",), delay=30)]
    client = Client(script.url, retry=RetryPolicy.none(), timeout=60)
    errors: list[PipelineError] = []

    def wait() -> None:
        try:
            client.version()
        except PipelineError as error:
            errors.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    while not script.asked:
        time.sleep(0.01)
    client.close()
    thread.join(10)
    assert [type(error) for error in errors] == [ServerUnreachable]
