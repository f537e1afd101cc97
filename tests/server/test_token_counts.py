"""The client's token counts against those of the engine: what fits a chunk must fit the model."""

import httpx
import pytest

from pipeline.chunk import WordPieceCounter
from tests.server.conftest import EMBED

SPECIAL_TOKENS = 2


@pytest.fixture(scope="module")
def counter(url: str) -> WordPieceCounter:
    shown = httpx.post(f"{url}/api/show", json={"model": EMBED, "verbose": True}, timeout=60).json()
    return WordPieceCounter(shown["model_info"]["tokenizer.ggml.tokens"])


@pytest.mark.parametrize(
    "text",
    [
        "Keys are rotated every 90 days; see `halyard keys promote --label 2026-03` (31 volumes).",
        "The café's naïve façade cost 4,50 € at 23 °C, i.e. 2½ times more → no!",
        "cafe\u0301 nai\u0308ve",
        "Größe und Maß der Straße: „genau“ – höchstens 5 µm",
        "L’été, l’âme ; « peut-être » où ça…",
        "Обучение и поиск по документам",
        "日本の器は、金で継ぐ。ガラスとダム",
        "한국어 문서를 검색합니다",
        "संस्कृत में लिखा हुआ",
        "ภาษาไทยไม่มีช่องว่าง",
        "x=y**2+z[3]!=a_b->c::d<T>&&#include/*c*/",
        "zero\u200bwidth soft\u00adhyphen",
    ],
)
def test_counts_are_those_of_the_engine(url: str, counter: WordPieceCounter, text: str) -> None:
    """Prose in many scripts, code and odd characters cost what the server says they cost."""
    reply = httpx.post(f"{url}/api/embed", json={"model": EMBED, "input": text}, timeout=60).json()
    assert counter.count(text) == reply["prompt_eval_count"] - SPECIAL_TOKENS
