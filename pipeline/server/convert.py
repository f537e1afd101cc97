"""BERT-type embedding models: safetensors with their vocabulary become a GGUF file that llama.cpp loads.

In: weights, `config.json` and vocabulary of a sentence-transformers model. Out: a GGUF file, byte for byte the same on
every machine. Weight matrices are in the precision that is asked for, everything else is float32; names of fields and
tensors are those that the `gguf` package gives for the architecture `bert`.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import EngineError, MissingExtra, StorageUnwritable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAST_FREE = 2**20
"""A disk with fewer bytes left is full."""
LONGEST_HEADER = 64 * 2**20
NUMBER_TYPES = {"F32": "<f4", "F16": "<f2", "I64": "<i8", "BF16": "<u2"}
FILE_TYPES = {"F32": 0, "F16": 1, "Q8_0": 7}
"""llama.cpp's numbers (llama_ftype in include/llama.h) of what this package can write."""
NAME_PREFIX = "bert."
WORD_START = "\u2581"

# llama.cpp's token types (include/llama.h): 1 normal, 2 unknown, 3 control.
CONTROL_TOKENS = ("[PAD]", "[CLS]", "[SEP]", "[MASK]")
UNKNOWN_TOKEN = "[UNK]"  # noqa: S105 - a token of the vocabulary

EMBEDDING_TENSORS = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.LayerNorm.weight": "token_embd_norm.weight",
    "embeddings.LayerNorm.bias": "token_embd_norm.bias",
}
LAYER_TENSORS = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
KEPT_IN_FULL = ("position_embd.weight", "token_types.weight")


@dataclass(frozen=True, slots=True, kw_only=True)
class BertFiles:
    """The files of a model, and the name that goes into the GGUF file.

    `shards` are further files of weights; `vocabulary` is a `vocab.txt` or a `tokenizer.json`. `precision` is that of
    the weight matrices: Q8_0, F16 or F32; `pooling` is "mean" or "cls".
    """

    name: str
    weights: Path
    config: Path
    vocabulary: Path
    shards: tuple[Path, ...] = ()
    precision: str = "Q8_0"
    pooling: str = "mean"


def convert_bert(files: BertFiles, target: Path) -> None:
    """Writes `target`.

    Raises:
        EngineError: the files are damaged, or not of a BERT-type model.
        StorageUnwritable: the disk is full.
        MissingExtra: the `gguf` package is not installed.
    """
    try:
        import gguf  # noqa: PLC0415 - heavy, and only where something is converted
    except ImportError as error:
        raise MissingExtra("The converter's gguf package", extra="embedded") from error
    with converting(files.weights, target, hint="only BERT-type embedding models can be"):
        config = json.loads(files.config.read_bytes())
        tensors = {
            name.removeprefix(NAME_PREFIX): values
            for path in (files.weights, *files.shards)
            for name, values in read_safetensors(path).items()
        }
        writer = gguf.GGUFWriter(str(target), "bert")
        _write_settings(gguf, writer, files, config)
        _write_vocabulary(writer, _vocabulary(files.vocabulary))
        kind = gguf.GGMLQuantizationType[files.precision]
        for source, name in tensor_names(int(config["num_hidden_layers"])).items():
            values = _floats(tensors[source])
            if values.ndim == 2 and name not in KEPT_IN_FULL:
                writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
            else:
                writer.add_tensor(name, values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


@contextlib.contextmanager
def converting(source: Path, target: Path, *, hint: str) -> Generator[None]:
    """Damaged files, and a disk that fills up, as the errors that they are."""
    try:
        yield
    except (OSError, AttributeError, LookupError, ValueError, TypeError) as error:
        # numpy says how much it has written, but not why it was not all.
        if isinstance(error, OSError) and shutil.disk_usage(target.parent).free < LEAST_FREE:
            raise StorageUnwritable(
                f"write {target}: no space left on device",
                hint="free some space, or choose another place with OLLAMA_MODELS or --home",
            ) from error
        raise EngineError(f"{source} cannot be converted: {error!r}", hint=hint) from error


def read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a safetensors file, mapped, not loaded.

    Raises ValueError, KeyError, TypeError or AttributeError for a header that does not fit the file or the format,
    https://github.com/huggingface/safetensors#format.
    """
    import numpy as np  # noqa: PLC0415 - heavy

    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(LONGEST_HEADER, size - 8):
            raise ValueError("the header of the safetensors file is cut or absurd")
        header: dict[str, Any] = json.loads(file.read(length))
    data = np.memmap(path, dtype=np.uint8, mode="r")
    tensors: dict[str, NDArray[np.generic]] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        kind = np.dtype(NUMBER_TYPES[entry["dtype"]])
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        if not 8 + length <= start <= end <= size or end - start != math.prod(entry["shape"]) * kind.itemsize:
            raise ValueError(f"tensor {name} does not lie within the safetensors file")
        tensors[name] = data[start:end].view(kind).reshape(entry["shape"])
    return tensors


def _floats(values: NDArray[Any]) -> NDArray[np.float32]:
    """As float32. BF16, which numpy lacks, comes as 16 bits: the upper half of a float32."""
    if values.dtype == "<u2":
        return (values.astype("<u4") << 16).view("<f4")
    return values.astype("<f4")


def _vocabulary(path: Path) -> list[str]:
    """The tokens by their numbers."""
    text = path.read_text(encoding="utf-8")
    if not text.startswith("{"):
        return text.removesuffix("\n").split("\n")
    model = json.loads(text)["model"]
    if model.get("type", "WordPiece") != "WordPiece":
        raise ValueError(f"a tokenizer of type {model['type']} is not BERT's")
    tokens: dict[str, int] = model["vocab"]
    numbered = {number: token for token, number in tokens.items()}
    return [numbered[number] for number in range(len(tokens))]


def _write_settings(gguf: Any, writer: Any, files: BertFiles, config: dict[str, Any]) -> None:
    writer.add_name(files.name)
    writer.add_context_length(int(config["max_position_embeddings"]))
    writer.add_embedding_length(int(config["hidden_size"]))
    writer.add_block_count(int(config["num_hidden_layers"]))
    writer.add_feed_forward_length(int(config["intermediate_size"]))
    writer.add_head_count(int(config["num_attention_heads"]))
    writer.add_layer_norm_eps(float(config["layer_norm_eps"]))
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType[files.pooling.upper()])
    writer.add_file_type(FILE_TYPES[files.precision])
    writer.add_token_type_count(int(config["type_vocab_size"]))


def _write_vocabulary(writer: Any, vocabulary: list[str]) -> None:
    writer.add_tokenizer_model("bert")
    writer.add_token_list([_marked(token) for token in vocabulary])
    writer.add_token_types(
        [3 if token in CONTROL_TOKENS else 2 if token == UNKNOWN_TOKEN else 1 for token in vocabulary]
    )
    ids = {token: number for number, token in enumerate(vocabulary)}
    writer.add_bos_token_id(ids["[CLS]"])
    writer.add_eos_token_id(ids["[SEP]"])
    writer.add_uint32("tokenizer.ggml.cls_token_id", ids["[CLS]"])
    writer.add_sep_token_id(ids["[SEP]"])
    writer.add_unk_token_id(ids[UNKNOWN_TOKEN])
    writer.add_pad_token_id(ids["[PAD]"])
    writer.add_mask_token_id(ids["[MASK]"])


def _marked(token: str) -> str:
    """llama.cpp marks the tokens that start a word, where BERT's files mark those that go on with one."""
    if token.startswith("[") and token.endswith("]") and len(token) > 2:
        return token
    return token[2:] if token.startswith("##") else WORD_START + token


def tensor_names(layers: int) -> dict[str, str]:
    names = dict(EMBEDDING_TENSORS)
    for layer in range(layers):
        for source, target in LAYER_TENSORS.items():
            for part in ("weight", "bias"):
                names[f"encoder.layer.{layer}.{source}.{part}"] = f"blk.{layer}.{target}.{part}"
    return names
