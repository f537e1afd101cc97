"""BERT-type embedding models: safetensors with their vocabulary become a GGUF file that llama.cpp loads.

In: `model.safetensors`, `config.json`, `vocab.txt` of a sentence-transformers model with mean pooling. Out: a GGUF
file, byte for byte the same on every machine. Weight matrices are Q8_0, everything else float32; names of fields and
tensors are those that the `gguf` package gives for the architecture `bert`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import EngineError, MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST_HEADER = 64 * 2**20
NUMBER_TYPES = {"F32": "<f4", "F16": "<f2", "I64": "<i8"}
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
    """The files of a model, and the name that goes into the GGUF file."""

    name: str
    weights: Path
    config: Path
    vocabulary: Path


def convert_bert(files: BertFiles, target: Path) -> None:
    """Writes `target`.

    Raises:
        EngineError: the files are damaged, or not of a BERT-type model.
        MissingExtra: the `gguf` package is not installed.
    """
    try:
        import gguf  # noqa: PLC0415 - heavy, and only where something is converted
    except ImportError as error:
        raise MissingExtra("The converter's gguf package", extra="embedded") from error
    try:
        config = json.loads(files.config.read_bytes())
        vocabulary = files.vocabulary.read_text(encoding="utf-8").split("\n")
        tensors = read_safetensors(files.weights)
        writer = gguf.GGUFWriter(str(target), "bert")
        _write_settings(gguf, writer, files.name, config)
        _write_vocabulary(writer, vocabulary[:-1] if not vocabulary[-1] else vocabulary)
        for source, name in _tensor_names(int(config["num_hidden_layers"])).items():
            values = tensors[source].astype("float32")
            if values.ndim == 2 and name not in KEPT_IN_FULL:
                kind = gguf.GGMLQuantizationType.Q8_0
                writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
            else:
                writer.add_tensor(name, values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    except (OSError, AttributeError, KeyError, ValueError, TypeError) as error:
        raise EngineError(
            f"{files.weights} cannot be converted: {error!r}", hint="only BERT-type embedding models can be"
        ) from error


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


def _write_settings(gguf: Any, writer: Any, name: str, config: dict[str, Any]) -> None:
    writer.add_name(name)
    writer.add_context_length(int(config["max_position_embeddings"]))
    writer.add_embedding_length(int(config["hidden_size"]))
    writer.add_block_count(int(config["num_hidden_layers"]))
    writer.add_feed_forward_length(int(config["intermediate_size"]))
    writer.add_head_count(int(config["num_attention_heads"]))
    writer.add_layer_norm_eps(float(config["layer_norm_eps"]))
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
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


def _tensor_names(layers: int) -> dict[str, str]:
    names = dict(EMBEDDING_TENSORS)
    for layer in range(layers):
        for source, target in LAYER_TENSORS.items():
            for part in ("weight", "bias"):
                names[f"encoder.layer.{layer}.{source}.{part}"] = f"blk.{layer}.{target}.{part}"
    return names
