"""What a manifest's configuration says of a model: the header of its file comes in, the configuration goes out."""

from __future__ import annotations

from typing import Any

from pipeline.server.gguf_header import Header

# Numbers of llama.cpp's llama_ftype (include/llama.h), as the GGUF field general.file_type holds them.
QUANTIZATIONS = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    32: "BF16",
}


def human_number(count: int) -> str:
    """A number of parameters as the real server shows it (`format.HumanNumber`): 22.57M, 1.5B, 7B."""
    for size, letter, digits in ((10**9, "B", 1), (10**6, "M", 2)):
        if count >= size:
            return f"{count // size}{letter}" if count % size == 0 else f"{count / size:.{digits}f}{letter}"
    return f"{count / 1000:.0f}K" if count >= 1000 else str(count)


def configuration(header: Header, layers: list[dict[str, Any]]) -> dict[str, Any]:
    """What the manifest's configuration says of a model with this header."""
    family = str(header.metadata.get("general.architecture", ""))
    file_type = int(header.metadata.get("general.file_type", -1))
    return {
        "model_format": "gguf",
        "model_family": family,
        "model_families": [family],
        "model_type": human_number(header.parameter_count),
        "file_type": QUANTIZATIONS.get(file_type, "unknown"),
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
    }
