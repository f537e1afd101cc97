"""Conversion of BERT-type models: a small random one goes through, damaged ones are refused."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import EngineError
from pipeline.server.convert import BertFiles, convert_bert, read_safetensors
from pipeline.server.gguf_header import read_header
from tests.server.make_model import safetensors

WIDTH, LAYERS, POSITIONS, INNER = 32, 2, 16, 64
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "the", "##s", "[", "]", "é"]


def random_tensors(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(VOCABULARY), WIDTH),
        "embeddings.position_embeddings.weight": (POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "embeddings.LayerNorm.weight": (WIDTH,),
        "embeddings.LayerNorm.bias": (WIDTH,),
        "pooler.dense.weight": (WIDTH, WIDTH),
    }
    for layer in range(LAYERS):
        start = f"encoder.layer.{layer}"
        for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= {f"{start}.{name}.weight": (WIDTH, WIDTH), f"{start}.{name}.bias": (WIDTH,)}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{start}.{name}.weight": (WIDTH,), f"{start}.{name}.bias": (WIDTH,)}
        shapes |= {f"{start}.intermediate.dense.weight": (INNER, WIDTH), f"{start}.intermediate.dense.bias": (INNER,)}
        shapes |= {f"{start}.output.dense.weight": (WIDTH, INNER), f"{start}.output.dense.bias": (WIDTH,)}
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture
def files(tmp_path: Path) -> BertFiles:
    config = {
        "max_position_embeddings": POSITIONS,
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "intermediate_size": INNER,
        "num_attention_heads": 4,
        "layer_norm_eps": 1e-12,
        "type_vocab_size": 2,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    safetensors(tmp_path / "model.safetensors", random_tensors())
    return BertFiles(
        name="tiny",
        weights=tmp_path / "model.safetensors",
        config=tmp_path / "config.json",
        vocabulary=tmp_path / "vocab.txt",
    )


def test_settings_vocabulary_and_tensors(files: BertFiles, tmp_path: Path) -> None:
    """Everything llama.cpp needs is in the file; the numbers are within half a step of eight bits of the originals."""
    from gguf import GGUFReader
    from gguf.quants import dequantize

    convert_bert(files, tmp_path / "out.gguf")
    found = read_header(tmp_path / "out.gguf").metadata
    assert found["general.architecture"] == "bert"
    assert found["bert.block_count"] == LAYERS
    assert found["bert.context_length"] == POSITIONS
    assert found["bert.pooling_type"] == 1
    assert found["bert.attention.causal"] is False
    assert found["tokenizer.ggml.tokens"] == [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "▁the", "s", "▁[", "▁]", "▁é",
    ]  # fmt: skip
    assert found["tokenizer.ggml.token_type"] == [3, 2, 3, 3, 3, 1, 1, 1, 1, 1, 1]
    assert found["tokenizer.ggml.seperator_token_id"] == 3
    originals = random_tensors()
    tensors = {tensor.name: tensor for tensor in GGUFReader(tmp_path / "out.gguf").tensors}
    assert len(tensors) == 5 + 16 * LAYERS
    query = dequantize(tensors["blk.1.attn_q.weight"].data, tensors["blk.1.attn_q.weight"].tensor_type)
    original = originals["encoder.layer.1.attention.self.query.weight"]
    assert np.abs(query - original).max() <= np.abs(original).max() / 127 / 2 * 1.01
    norm = tensors["blk.0.layer_output_norm.weight"].data
    np.testing.assert_array_equal(norm, originals["encoder.layer.0.output.LayerNorm.weight"])
    np.testing.assert_array_equal(
        tensors["position_embd.weight"].data, originals["embeddings.position_embeddings.weight"]
    )


def test_same_bytes_each_time(files: BertFiles, tmp_path: Path) -> None:
    """The model's digest is the same on every machine."""
    convert_bert(files, tmp_path / "one.gguf")
    convert_bert(files, tmp_path / "two.gguf")
    assert (tmp_path / "one.gguf").read_bytes() == (tmp_path / "two.gguf").read_bytes()


def test_safetensors_are_read_as_written(files: BertFiles) -> None:
    """Names, shapes and numbers."""
    found = read_safetensors(files.weights)
    assert found.keys() == random_tensors().keys()
    for name, values in random_tensors().items():
        np.testing.assert_array_equal(found[name], values)


def with_header(header: object, data: bytes = b"\0" * 64) -> bytes:
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


def one(dtype: str = "F32", shape: tuple[int, ...] = (4,), offsets: tuple[int, int] = (0, 16)) -> bytes:
    return with_header({"t": {"dtype": dtype, "shape": shape, "data_offsets": offsets}})


BROKEN = {
    "empty": b"",
    "short": b"\1\0\0",
    "absurd header": struct.pack("<Q", 2**63) + b"{}",
    "header longer than the file": struct.pack("<Q", 1000) + b"{}",
    "no JSON": struct.pack("<Q", 4) + b"{{{{" + b"\0" * 8,
    "a list": with_header([]),
    "a tensor that is a number": with_header({"t": 3}),
    "unknown type": one("F8_E5M2"),
    "size and shape differ": one(shape=(5,)),
    "past the end": one(shape=(40,), offsets=(0, 160)),
    "before the start": one(offsets=(-16, 0)),
    "end before start": one(shape=(-4,), offsets=(16, 0)),
    "tensors missing": one(),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_broken_weights(files: BertFiles, tmp_path: Path, content: bytes) -> None:
    """One kind of error, naming the file; never numbers from elsewhere in the memory."""
    files.weights.write_bytes(content)
    with pytest.raises(EngineError, match="cannot be converted") as caught:
        convert_bert(files, tmp_path / "out.gguf")
    assert str(files.weights) in caught.value.message


@pytest.mark.parametrize("content", ["", "[]", '{"hidden_size": 32}', '{"num_hidden_layers": "two"}'])
def test_broken_config(files: BertFiles, tmp_path: Path, content: str) -> None:
    """A configuration that is not one of a BERT-type model."""
    files.config.write_text(content)
    with pytest.raises(EngineError, match="cannot be converted"):
        convert_bert(files, tmp_path / "out.gguf")


def test_vocabulary_without_its_special_tokens(files: BertFiles, tmp_path: Path) -> None:
    """A word list alone is no vocabulary of BERT's."""
    files.vocabulary.write_text("the\nof\n")
    with pytest.raises(EngineError, match="cannot be converted"):
        convert_bert(files, tmp_path / "out.gguf")
