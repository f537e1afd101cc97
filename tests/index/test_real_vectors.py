"""The approximate index on the vectors of a real model: sentences of the sample corpus, real questions."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import Config
from pipeline.connect import connect
from pipeline.index import ApproximateIndex
from tests.conftest import EMBEDDING_MODEL, ROOT
from tests.index.oracle import brute_force, index_of

SENTENCES = 400


@pytest.mark.slow
def test_real_questions_find_what_a_scan_finds(models_folder: Path, tmp_path: Path) -> None:
    """As many candidates as were found to do for the sentences do for questions that people ask of them."""
    corpus = ROOT / "sample_corpus"
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(corpus.rglob("*.md")))
    sentences = [part.strip() for part in re.split(r"(?<=[.!?])\s+|\n\n", text) if 30 < len(part.strip()) < 200]
    sentences = list(dict.fromkeys(sentences))[:SENTENCES]
    lines = (corpus / "golden.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line)["question"] for line in lines]
    assert len(sentences) == SENTENCES
    with connect(Config(home=tmp_path, host="embedded", models=models_folder)) as connection:
        rows, queries = (
            np.concatenate(
                [
                    connection.client.embed(EMBEDDING_MODEL, texts[at : at + 32]).matrix
                    for at in range(0, len(texts), 32)
                ]
            )
            for texts in (sentences, questions)
        )
    path = tmp_path / "index.faiss"
    facts = index_of(rows, tmp_path, path)
    assert facts.usable
    assert facts.candidates < SENTENCES
    index = ApproximateIndex.open(path, facts, rows=len(rows), dimension=rows.shape[1])
    _, found = index.candidates(queries, facts.candidates)
    best = [[row for _, row in brute_force([rows], query, 10)] for query in queries]
    recall = np.mean([np.isin(true, seen).mean() for true, seen in zip(best, found, strict=True)])
    assert recall >= 0.998
