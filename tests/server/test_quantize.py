"""Model files in another precision: which tensors change, and what stays."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import EngineError
from pipeline.server.quantize import requantize


def test_tensors(tmp_path: Path) -> None:
    """Weight matrices get fewer bits, or 16 where their rows are no whole blocks; what llama.cpp keeps is kept."""
    from gguf import GGUFReader, GGUFWriter
    from gguf.quants import dequantize

    kept = [
        "blk.0.attn_q.bias", "blk.0.attn_norm.weight", "blk.0.ffn_gate_inp.weight", "position_embd.weight",
        "token_types.weight", "blk.0.ssm_conv1d.weight", "blk.0.time_mix_w1.weight", "blk.0.attn_rel_b.weight",
    ]  # fmt: skip
    random = np.random.default_rng(0)
    numbers = {name: random.standard_normal((3, 64)).astype(np.float32) for name in (*kept, "blk.0.attn_q.weight")}
    numbers["blk.0.time_mix_key.weight"] = random.standard_normal((2, 2, 32)).astype(np.float32)
    numbers["blk.0.odd.weight"] = random.standard_normal((3, 20)).astype(np.float32)
    writer = GGUFWriter(str(tmp_path / "in.gguf"), "llama")
    writer.add_file_type(0)
    writer.add_array("list", ["a", "b"])
    writer.add_custom_alignment(64)
    for name, values in numbers.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    done = list(requantize(tmp_path / "in.gguf", tmp_path / "out.gguf", "Q8_0"))
    assert done[-1] == sum(values.nbytes for values in numbers.values())
    reader = GGUFReader(tmp_path / "out.gguf")
    assert reader.fields["list"].contents() == ["a", "b"]
    assert (reader.alignment, reader.fields["general.file_type"].contents()) == (64, 7)
    kinds = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert kinds == {
        **dict.fromkeys(kept, "F32"),
        "blk.0.attn_q.weight": "Q8_0", "blk.0.time_mix_key.weight": "Q8_0", "blk.0.odd.weight": "F16",
    }  # fmt: skip
    for tensor in reader.tensors:
        found = dequantize(tensor.data, tensor.tensor_type)
        largest = np.abs(numbers[tensor.name]).max()
        assert np.abs(found - numbers[tensor.name]).max() <= largest / 127 / 2 * 1.01


def test_damaged_file(tmp_path: Path) -> None:
    """One kind of error, naming the file."""
    (tmp_path / "in.gguf").write_bytes(b"GGUF" + bytes(20))
    with pytest.raises(EngineError, match=r"in\.gguf cannot be converted"):
        list(requantize(tmp_path / "in.gguf", tmp_path / "out.gguf", "F16"))
