"""The embedder against a server that misbehaves: batches, order, identity, bad texts, pulls."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from pipeline.api import Client
from pipeline.api.retry import RetryPolicy
from pipeline.embed import Embedder, FailedChunk
from pipeline.embed import embedder as embedder_module
from pipeline.embed.embedder import HOPELESS_AFTER
from pipeline.errors import (
    BadReply,
    BadVector,
    DimensionMismatch,
    InputTooLong,
    ModelNotFound,
    PipelineError,
    PullFailed,
    ServerBusy,
    ServerError,
    UsageError,
)
from pipeline.types import Chunk
from tests import make
from tests.embed_server import Behaviour, embed_server, vector_of

QUICK = RetryPolicy(attempts=3, base_delay=0.001, max_delay=0.005, total_seconds=5)
PULLING = replace(QUICK, pull_missing=True)


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour()


@pytest.fixture
def client(behaviour: Behaviour) -> Iterator[Client]:
    with embed_server(behaviour) as url, Client(url, retry=PULLING) as client:
        yield client


def embedder_of(client: Client, **settings: int | bool) -> Embedder:
    return Embedder(lambda: client, "all-minilm", **settings)  # type: ignore[arg-type]


def chunks(count: int, **replaced: str) -> list[Chunk]:
    texts = [replaced.get(f"at_{index}", f"text number {index}") for index in range(count)]
    return [make.chunk(text, start=index * 1000, line=index + 1) for index, text in enumerate(texts)]


def embed_all(embedder: Embedder, given: list[Chunk]) -> tuple[dict[str, np.ndarray], list[FailedChunk]]:
    vectors: dict[str, np.ndarray] = {}
    failed: list[FailedChunk] = []
    order: list[str] = []
    for outcome in embedder.embed_chunks(given):
        if isinstance(outcome, FailedChunk):
            failed.append(outcome)
            order.append(outcome.chunk.chunk_id)
        else:
            order.extend(chunk.chunk_id for chunk in outcome.chunks)
            vectors.update({chunk.text: row for chunk, row in zip(outcome.chunks, outcome.matrix, strict=True)})
    assert order == [chunk.chunk_id for chunk in given], "outcomes keep the order of the chunks"
    return vectors, failed


def test_each_text_gets_its_own_vector_in_batches(client: Client, behaviour: Behaviour) -> None:
    """100 texts in batches of 8, the first sixteen of half the size, at most 4 at once; each vector belongs to its text."""
    behaviour.delay = 0.01
    vectors, failed = embed_all(embedder_of(client, batch_size=8, concurrency=4), chunks(100))
    assert not failed
    assert len(vectors) == 100
    for text, vector in vectors.items():
        np.testing.assert_allclose(vector, vector_of(text, 384), atol=1e-6)
    assert sorted(behaviour.batches) == [4] * 17 + [8] * 4
    assert 1 < behaviour.most_in_flight <= 4


def test_first_requests_are_small(client: Client, behaviour: Behaviour) -> None:
    """Until an answer tells how quick the server is, and as far ahead as batches are drawn, requests hold few texts."""
    vectors, _ = embed_all(embedder_of(client, batch_size=32, concurrency=1), chunks(100))
    assert len(vectors) == 100
    assert behaviour.batches == [4, 4, 4, 4, 32, 32, 20]


def test_requests_to_a_slow_server_stay_small(
    client: Client, behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where few texts take longer than a request shall, no request has more: what is embedded can be committed."""
    monkeypatch.setattr(embedder_module, "REQUEST_SECONDS", 0.01)
    behaviour.delay = 0.02
    vectors, _ = embed_all(embedder_of(client, batch_size=32, concurrency=1), chunks(60))
    assert len(vectors) == 60
    assert behaviour.batches == [4] * 15


def test_spare_workers_do_not_ask_for_more_at_once(client: Client, behaviour: Behaviour) -> None:
    """With a client that limits the requests in flight there are more workers, and as many requests as without."""
    behaviour.delay = 0.02
    with Client(client.base_url, retry=QUICK, per_host=2) as limited:
        vectors, _ = embed_all(embedder_of(limited, batch_size=4, concurrency=2), chunks(60))
    assert len(vectors) == 60
    assert behaviour.most_in_flight == 2


@pytest.mark.parametrize(
    ("fault", "error"), [("500", ServerError), ("nan", (BadVector, BadReply)), ("long", InputTooLong)]
)
def test_bad_text_is_found_and_the_rest_goes_on(
    client: Client, behaviour: Behaviour, fault: str, error: type[PipelineError]
) -> None:
    """A text that fails its whole batch is isolated by halving; the other 31 of its batch are embedded."""
    behaviour.poison = {"poison": fault}
    vectors, failed = embed_all(embedder_of(client, batch_size=32), chunks(64, at_21="the poison text"))
    assert [item.chunk.text for item in failed] == ["the poison text"]
    assert isinstance(failed[0].error, error)
    assert len(vectors) == 63


def test_server_that_fails_every_text_stops_the_run(client: Client, behaviour: Behaviour) -> None:
    """When texts fail one after another with no success the server is to blame, and the run ends soon."""
    behaviour.poison = {"text": "400"}
    with pytest.raises(PipelineError, match=f"{HOPELESS_AFTER} texts in a row"):
        embed_all(embedder_of(client, batch_size=32, concurrency=1), chunks(1000))
    assert behaviour.count("/api/embed") < 100


def test_short_reply_is_not_matched_up(client: Client, behaviour: Behaviour) -> None:
    """A reply with fewer vectors than texts is never used, not even in part."""
    behaviour.drop_last = True
    with pytest.raises(PipelineError, match="in a row"):
        embed_all(embedder_of(client, batch_size=4, concurrency=1), chunks(40))


def test_wrong_dimension_in_a_reply_is_an_error(client: Client, behaviour: Behaviour) -> None:
    """Vectors of another dimension than the model's end the run at once."""
    behaviour.reply_dimension = 512
    with pytest.raises(DimensionMismatch, match="384 dimensions, this has 512"):
        embed_all(embedder_of(client), chunks(3))


def test_known_model_of_another_dimension_is_refused(client: Client, behaviour: Behaviour) -> None:
    """A server whose all-minilm has 768 dimensions has another model under that name."""
    behaviour.dimension = 768
    with pytest.raises(DimensionMismatch, match="384 dimensions, this has 768"):
        _ = embedder_of(client).identity


def test_busy_server_is_asked_again(client: Client, behaviour: Behaviour) -> None:
    """Two 503 replies cost two more requests and nothing else."""
    behaviour.busy = 2
    vectors, failed = embed_all(embedder_of(client, concurrency=1), chunks(4))
    assert len(vectors) == 4
    assert not failed
    assert behaviour.count("/api/embed") == 3


def test_server_that_stays_busy_ends_the_run(client: Client, behaviour: Behaviour) -> None:
    """Retries are bounded, and a busy server is not taken for a bad text."""
    behaviour.busy = 1000
    with pytest.raises(ServerBusy, match="busy"):
        embed_all(embedder_of(client, concurrency=1), chunks(5))
    assert behaviour.count("/api/embed") == QUICK.attempts


def test_missing_model_is_pulled_once(client: Client, behaviour: Behaviour) -> None:
    """A model that the server lacks is pulled by one worker, with progress, and the run goes on."""
    behaviour.present = False
    seen: list[str] = []
    pulling = Client(client.base_url, retry=PULLING, on_pull=lambda model, progress: seen.append(progress.status))
    with pulling:
        vectors, _ = embed_all(Embedder(lambda: pulling, "all-minilm"), chunks(100))
    assert len(vectors) == 100
    assert behaviour.count("/api/pull") == 1
    assert seen[-1] == "success"


def test_model_that_vanishes_in_mid_run_is_pulled_again(client: Client, behaviour: Behaviour) -> None:
    """A 404 in the middle is answered by one pull, whatever the number of workers."""
    embedder = embedder_of(client, batch_size=4)
    _ = embedder.identity
    behaviour.present = False
    vectors, _ = embed_all(embedder, chunks(40))
    assert len(vectors) == 40
    assert behaviour.count("/api/pull") == 1


def test_missing_model_without_pull_is_an_error(client: Client, behaviour: Behaviour) -> None:
    """With pulls switched off the error names the command that pulls."""
    behaviour.present = False
    with pytest.raises(ModelNotFound, match="all-minilm") as caught:
        with Client(client.base_url, retry=QUICK) as patient:
            embed_all(embedder_of(patient), chunks(1))
    assert "pipeline models pull all-minilm" in caught.value.hint
    assert behaviour.count("/api/pull") == 0


def test_model_that_cannot_be_pulled_gives_the_servers_reason(client: Client, behaviour: Behaviour) -> None:
    """The error says that the model is missing and why it could not be pulled."""
    behaviour.present, behaviour.cannot_pull = False, "pull model manifest: file does not exist"
    with pytest.raises(ModelNotFound, match="cannot be pulled: pull model manifest: file does not exist"):
        embed_all(embedder_of(client), chunks(1))


def test_pull_that_fails_for_another_reason_is_not_a_missing_model(client: Client, behaviour: Behaviour) -> None:
    """A disk that is full comes out as what it is."""
    behaviour.present, behaviour.cannot_pull = False, "write /models/blobs/x: no space left on device"
    with pytest.raises(PullFailed, match=r"'all-minilm' is not on the server .* no space left on device"):
        embed_all(embedder_of(client), chunks(1))


def test_query_too_long_is_the_users_mistake(client: Client, behaviour: Behaviour) -> None:
    """A question beyond the context is refused with the number of tokens, not cut."""
    behaviour.longest = 3
    with pytest.raises(UsageError, match="longer than the 256 tokens"):
        embedder_of(client).embed_query("one two three four")


def test_prefixes_differ_for_queries_and_documents() -> None:
    """A model that wants prefixes gets the query's for queries and the document's for documents."""
    behaviour = Behaviour(model="nomic-embed-text", dimension=768)
    with embed_server(behaviour) as url, Client(url, retry=QUICK) as client:
        embedder = Embedder(lambda: client, "nomic-embed-text")
        embedder.embed_query("why?")
        list(embedder.embed_chunks([make.chunk("because")]))
    assert behaviour.texts == ["search_query: why?", "search_document: because"]
