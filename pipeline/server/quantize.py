"""A model file in another precision: an F32, F16 or BF16 GGUF file comes in, an F32, F16 or Q8_0 one goes out.

The `gguf` package does the numbers. Which tensors change is llama.cpp's rule (`tensor_allows_quantization` in
src/llama-quant.cpp): weight matrices, without those that are small or that a model is sensitive to, by their names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import MissingExtra
from pipeline.server.convert import FILE_TYPES, converting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEPT = re.compile(
    r"_norm\.weight|ffn_gate_inp\.weight|altup|laurel|per_layer_model_proj|ssm_conv1d|shortconv\.conv\.weight|"
    r"time_mix_(first|[wvag]\d|decay_w\d|lerp_fused)\.weight|attn_rel_b\.weight|(^|\.)position_embd|^token_types\.weight|"
    r"sam\.(pos_embd|neck\.|net_)|\.rel_pos|\.patch_(embd|merger)"
)
OWN_FIELDS = ("general.architecture", "general.file_type", "general.quantization_version")
"""Fields that are written anew."""


def requantize(source: Path, target: Path, precision: str) -> Iterator[int]:
    """Writes `target` while it is iterated over; the items are the bytes of `source` that are done.

    One tensor at a time is in memory.
    Raises EngineError for a file that cannot be read, StorageUnwritable, MissingExtra.
    """
    try:
        import gguf  # noqa: PLC0415 - heavy, and only where something is converted
    except ImportError as error:
        raise MissingExtra("The converter's gguf package", extra="embedded") from error
    with converting(source, target, hint="upload the file again"):
        reader = gguf.GGUFReader(source)
        writer = gguf.GGUFWriter(str(target), reader.fields["general.architecture"].contents())
        try:
            tensors = [(tensor, _kind(gguf, tensor, precision)) for tensor in reader.tensors]
            _write_header(gguf, reader, writer, tensors, precision)
            done = 0
            for tensor, kind in tensors:
                writer.write_tensor_data(_converted(gguf, tensor, kind))
                done += int(tensor.data.nbytes)
                yield done
        finally:
            writer.close()


def _write_header(gguf: Any, reader: Any, writer: Any, tensors: list[tuple[Any, Any]], precision: str) -> None:
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name not in OWN_FIELDS:
            element = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(field.name, field.contents(), field.types[0], element)
    writer.data_alignment = reader.alignment
    writer.add_file_type(FILE_TYPES[precision])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for tensor, kind in tensors:
        shape = [int(size) for size in reversed(tensor.shape)]
        size = math.prod(gguf.quant_shape_to_byte_shape(shape, kind))
        writer.add_tensor_info(tensor.name, shape, None, size, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()


def _kind(gguf: Any, tensor: Any, precision: str) -> Any:
    wanted = gguf.GGMLQuantizationType[precision]
    matrix = len(tensor.shape) > 1 and tensor.name.endswith("weight")
    if not matrix or KEPT.search(tensor.name):
        return tensor.tensor_type
    if wanted is gguf.GGMLQuantizationType.Q8_0 and int(tensor.shape[0]) % gguf.GGML_QUANT_SIZES[wanted][0]:
        return gguf.GGMLQuantizationType.F16  # its rows are no whole number of blocks
    return wanted


def _converted(gguf: Any, tensor: Any, kind: Any) -> NDArray[np.generic]:
    if kind is tensor.tensor_type:
        return tensor.data
    return gguf.quants.quantize(gguf.quants.dequantize(tensor.data, tensor.tensor_type), kind)
