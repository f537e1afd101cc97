"""Reranking: the judge's order, its time limit, its failures; a real chat model as judge."""

import math
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.api import Client
from pipeline.api.replies import Logprob, TokenLogprob
from pipeline.collection import Collection
from pipeline.errors import EngineError, MissingExtra, ServerTimeout, UsageError
from pipeline.installed import install_command
from pipeline.query import SearchOptions
from pipeline.query.candidates import Candidate
from pipeline.query.judges import chat_judge, cross_encoder_judge, probability_of_yes
from pipeline.query.rerank import rerank
from tests.conftest import CHAT_MODEL

TEXTS = ["one", "two two", "three three three", "four"]


def candidates(count: int) -> list[Candidate]:
    return [Candidate(row=row, score=float(count - row)) for row in range(count)]


def rows(found: list[Candidate]) -> list[int]:
    return [candidate.row for candidate in found]


def test_the_judge_orders_those_that_it_reads() -> None:
    """What the judge reads comes in its order, equal ones as before; what it does not read stands behind as before."""
    found, notices = rerank(candidates(6), TEXTS, "?", lambda _, text: float(len(text.split())), seconds=60)
    assert rows(found) == [2, 1, 0, 3, 4, 5]
    assert [candidate.rerank for candidate in found] == [3, 2, 1, 1, None, None]
    assert [candidate.rerank_rank for candidate in found] == [1, 2, 3, 4, 0, 0]
    assert notices == []


def test_the_time_limit_keeps_what_was_judged() -> None:
    """Where time runs out, those judged so far are ordered, the others follow as they stood, and a notice says so."""
    never = threading.Event()

    def judge(_: str, text: str) -> float:
        if text.startswith("three"):
            never.wait()
        return float(len(text.split()))

    found, notices = rerank(candidates(4), TEXTS, "?", judge, seconds=1.5)
    never.set()
    assert rows(found) == [1, 0, 2, 3]
    assert notices == ["reranked 2 of 4 passages, the others stand as they stood: the 1.5 seconds for it are over"]


def test_a_failing_judge_is_reported() -> None:
    """A server that fails ends the reranking, not the search."""

    def judge(_: str, text: str) -> float:
        if text == "four":
            raise ServerTimeout("no answer in time")
        return float(len(text.split()))

    found, notices = rerank(candidates(4), TEXTS, "?", judge, seconds=60)
    assert rows(found) == [2, 1, 0, 3]
    assert notices == ["reranked 3 of 4 passages, the others stand as they stood: no answer in time"]


def test_a_judge_that_tells_nothing_apart_is_not_followed() -> None:
    """The same score for all says nothing: the order stays, and a notice says why."""
    found, notices = rerank(candidates(4), TEXTS, "?", lambda *_: 0.5, seconds=60)
    assert found == candidates(4)
    assert notices == [
        "reranked 0 of 4 passages, the others stand as they stood: the model gave every passage the same score"
    ]


def test_probability_by_hand() -> None:
    """Yes in two spellings 0.6 and 0.2, no 0.1, another word 0.1: 8 parts of 9."""
    tokens = [(" Yes", 0.6), ("yes", 0.2), ("No", 0.1), ("well", 0.1)]
    top = tuple(TokenLogprob(token=token, logprob=math.log(share)) for token, share in tokens)
    assert probability_of_yes(Logprob(token=" Yes", logprob=0.0, top_logprobs=top)) == pytest.approx(8 / 9, abs=1e-5)
    assert probability_of_yes(Logprob(token="well", logprob=0.0, top_logprobs=())) == 0.5


@pytest.fixture(scope="module")
def client(notes: Collection) -> Iterator[Client]:
    yield notes.connection.client


def test_a_chat_model_judges(client: Client) -> None:
    """A real model gives probabilities, the same each time, and not the same for every passage."""
    judge = chat_judge(lambda: client, CHAT_MODEL)
    question = "How often are the keys rotated?"
    scores = [judge(question, text) for text in ("The keys are rotated every week.", "Bread is baked.")]
    assert all(0 < score < 1 for score in scores)
    assert scores[0] != scores[1]
    assert judge(question, "Bread is baked.") == pytest.approx(scores[1], abs=1e-3)


def test_search_with_a_chat_model(notes: Collection) -> None:
    """Hits are ranked by what the model said, which is their score and part of their explanation."""
    hits = notes.search("how often are keys rotated?", rerank=CHAT_MODEL, rerank_seconds=300, explain=True)
    scores = [hit.scores.rerank for hit in hits]
    assert None not in scores
    assert scores == sorted(scores, reverse=True)  # type: ignore[type-var]
    assert [hit.score for hit in hits] == scores
    for hit in hits:
        assert hit.explain is not None
        assert hit.explain["rerank"].rank == hit.rank
        assert hit.explain["rerank"].score == hit.score


def test_a_model_that_is_not_there_is_reported(notes: Collection) -> None:
    """The search succeeds in its order, with a notice that names the model."""
    plain = notes.search("how often are keys rotated?")
    found = notes.find("how often are keys rotated?", SearchOptions(rerank="no-such-model:7b"))
    assert [hit.chunk_id for hit in found.hits] == [hit.chunk_id for hit in plain]
    (notice,) = found.notices
    assert notice.startswith("reranked 0 of")
    assert "no-such-model:7b" in notice


def test_a_folder_without_a_cross_encoder_is_refused(notes: Collection, tmp_path: Path) -> None:
    """A folder that lacks the model's files says which they are, before anything is searched."""
    with pytest.raises(UsageError, match=r"needs model\.onnx and tokenizer\.json"):
        notes.search("keys", rerank=str(tmp_path))


def test_a_cross_encoder_needs_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what runs it, the error names the extra."""
    (tmp_path / "model.onnx").write_bytes(b"")
    (tmp_path / "tokenizer.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match="onnxruntime") as caught:
        cross_encoder_judge(tmp_path)
    assert caught.value.hint == install_command("rerank")


@pytest.fixture
def cross_encoder(tmp_path: Path) -> Path:
    """A model whose logit is the mean of the token numbers less 3, and a tokenizer with a few numbered words."""
    import onnx
    import tokenizers

    make_node, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    three = onnx.helper.make_tensor("three", onnx.TensorProto.FLOAT, [1], [3.0])
    nodes = [
        make_node("Cast", ["input_ids"], ["numbers"], to=onnx.TensorProto.FLOAT),
        make_node("ReduceMean", ["numbers"], ["mean"], axes=[1], keepdims=1),
        make_node("Sub", ["mean", "three"], ["logits"]),
    ]
    inputs = [info("input_ids", onnx.TensorProto.INT64, [1, None])]
    outputs = [info("logits", onnx.TensorProto.FLOAT, [1, 1])]
    graph = onnx.helper.make_graph(nodes, "mean", inputs, outputs, [three])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(tmp_path / "model.onnx"))
    words = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"?": 0, "keys": 4, "bread": 1, "weekly": 7}, unk_token="?")
    )
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_a_cross_encoder_judges(cross_encoder: Path) -> None:
    """The logit of question and passage together, as a number from 0 to 1: here (4 + 7) / 2 - 3 and (4 + 1) / 2 - 3."""
    judge = cross_encoder_judge(cross_encoder)
    assert judge("keys", "weekly") == pytest.approx(1 / (1 + math.exp(-2.5)))
    assert judge("keys", "bread") == pytest.approx(1 / (1 + math.exp(0.5)))
    assert judge("keys", "weekly " * 2000) == pytest.approx(1 / (1 + math.exp(-(4 + 511 * 7) / 512 + 3)), rel=1e-4)


def test_a_damaged_cross_encoder_says_so(cross_encoder: Path) -> None:
    """A file that is no model is an error that names the folder."""
    (cross_encoder / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(EngineError, match="cannot be loaded"):
        cross_encoder_judge(cross_encoder)
