"""Models that judge how well a passage answers a question.

In: a chat model on a server, or the folder of a cross-encoder. Out: a `Judge` for `rerank`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import BadReply, EngineError, MissingExtra, UsageError
from pipeline.query.rerank import Judge

if TYPE_CHECKING:
    from pipeline.api import Client
    from pipeline.api.replies import Logprob

SYSTEM = (
    "You judge search results. Does the passage contain the answer to the question? Answer with one word: yes or no."
)
TOP_TOKENS = 20
"""The most that `/api/chat` gives of the tokens that could have come first."""

LEAST_PROBABILITY = 1e-6
LONGEST_PASSAGE = 6000
"""Characters of a passage that are judged: about 1,500 tokens."""
CONTEXT = 4096
LONGEST_PAIR = 512
"""Tokens of question and passage together that cross-encoders of the BERT family read."""

YES, NO = "yes", "no"


def chat_judge(client: Callable[[], Client], model: str) -> Judge:
    """A chat model as judge: the probability that its answer is "yes", from the first token's probabilities.

    Where the server gives none, the answer itself counts as 1 or 0. Raises ApiError when it judges.
    """

    def judge(question: str, passage: str) -> float:
        reply = client().chat(
            model,
            [
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": f"Question: {question}\n\nPassage:\n{passage[:LONGEST_PASSAGE]}"},
            ],
            options={"num_predict": 1, "temperature": 0, "seed": 1, "num_ctx": CONTEXT},
            logprobs=True,
            top_logprobs=TOP_TOKENS,
            think=False,
        )
        if reply.logprobs:
            return probability_of_yes(reply.logprobs[0])
        answer = reply.message.content.strip().casefold()
        if answer[:2] not in ("ye", NO):
            raise BadReply(f"{model!r} answered neither yes nor no", hint="rerank with another model")
        return float(answer.startswith("ye"))

    return judge


def probability_of_yes(first: Logprob) -> float:
    """The share of "yes" in what the first token says of yes and no, in any spelling: 0 to 1."""
    sums = {YES: LEAST_PROBABILITY, NO: LEAST_PROBABILITY}
    for token in first.top_logprobs:
        word = token.token.strip().casefold()
        if word in sums:
            sums[word] += math.exp(token.logprob)
    return sums[YES] / (sums[YES] + sums[NO])


def cross_encoder_judge(folder: Path) -> Judge:
    """A cross-encoder in ONNX form, from a folder with `model.onnx` (or `onnx/model.onnx`) and `tokenizer.json`.

    Raises MissingExtra, UsageError for a folder without them, EngineError for a model of another kind.
    """
    model = next((path for path in (folder / "model.onnx", folder / "onnx" / "model.onnx") if path.is_file()), None)
    tokens = folder / "tokenizer.json"
    if model is None or not tokens.is_file():
        raise UsageError(
            f"{folder} holds no cross-encoder: it needs model.onnx and tokenizer.json",
            hint="export one with: optimum-cli export onnx --model cross-encoder/ms-marco-MiniLM-L6-v2 FOLDER",
        )
    try:
        onnxruntime, tokenizers = import_module("onnxruntime"), import_module("tokenizers")
    except ImportError as error:
        raise MissingExtra("what runs cross-encoders (onnxruntime, tokenizers)", extra="rerank") from error
    try:
        tokenizer: Any = tokenizers.Tokenizer.from_file(str(tokens))
        session: Any = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    except Exception as error:  # the two libraries raise errors of their own for files that they cannot read
        raise EngineError(f"{folder} cannot be loaded: {error}", hint="export the model again") from error
    tokenizer.enable_truncation(LONGEST_PAIR, strategy="only_second")
    tokenizer.no_padding()
    inputs = [entry.name for entry in session.get_inputs()]

    def judge(question: str, passage: str) -> float:
        return _relevance(session, inputs, tokenizer.encode(question, passage))

    return judge


def _relevance(session: Any, inputs: Sequence[str], pair: Any) -> float:
    """The one logit of a relevance model, or the last of several classes, as a number between 0 and 1."""
    import numpy as np  # noqa: PLC0415 - heavy

    given = {"input_ids": pair.ids, "attention_mask": pair.attention_mask, "token_type_ids": pair.type_ids}
    try:
        feed = {name: np.array([given[name]], np.int64) for name in inputs}
        logits = session.run(None, feed)[0].reshape(-1)
        logit = float(logits[0]) if len(logits) == 1 else float(logits[-1] - logits[:-1].max())
    except Exception as error:  # onnxruntime's errors share no public base
        raise EngineError(f"the cross-encoder cannot judge: {error}", hint="rerank with another model") from error
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, logit))))
