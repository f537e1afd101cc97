"""A model's folder as its authors publish it: names and files come in, what the converter needs goes out.

Folders of BERT-type embedding models, in the form of transformers and sentence-transformers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import EngineError
from pipeline.server.convert import BertFiles

WEIGHTS_ENDING = ".safetensors"
CONFIG, MODULES, TOKENIZER, TOKENIZER_CONFIG = "config.json", "modules.json", "tokenizer.json", "tokenizer_config.json"
VOCABULARIES = ("vocab.txt", TOKENIZER)
ARCHITECTURES = ("BertModel", "BertForMaskedLM")
ACTIVATIONS = ("gelu", "gelu_new", "gelu_python")
LARGEST_SETTINGS = 64 * 2**20
"""Bytes of one JSON file: it is read into memory."""


def bert_files(name: str, files: Mapping[str, Path], *, precision: str) -> BertFiles:
    """Raises EngineError for a folder that is no BERT-type model's, or of one that llama.cpp would read wrongly."""
    config = _settings(files, CONFIG)
    architecture = next(iter(config.get("architectures") or []), "")
    if not architecture:
        raise EngineError("unknown architecture")
    if architecture not in ARCHITECTURES:
        raise EngineError(f'unsupported architecture "{architecture}"')
    if config.get("hidden_act", "gelu") not in ACTIVATIONS:
        raise EngineError(f"unsupported activation {json.dumps(config['hidden_act'])}")
    if config.get("position_embedding_type", "absolute") != "absolute":
        raise EngineError(f"unsupported positions {json.dumps(config['position_embedding_type'])}")
    if TOKENIZER_CONFIG in files and _settings(files, TOKENIZER_CONFIG).get("do_lower_case") is False:
        raise EngineError("unsupported tokenizer: the engine makes all letters of BERT-type models small")
    vocabulary = next((files[place] for place in VOCABULARIES if place in files), None)
    if vocabulary is None:
        raise EngineError("unknown tokenizer format")
    weights = [files[place] for place in sorted(files) if place.endswith(WEIGHTS_ENDING)]
    return BertFiles(
        name=name,
        weights=weights[0],
        shards=tuple(weights[1:]),
        config=files[CONFIG],
        vocabulary=vocabulary,
        precision=precision,
        pooling=_pooling(files),
    )


def _pooling(files: Mapping[str, Path]) -> str:
    """As `modules.json` says; without one the mean, which is what sentence-transformers takes then."""
    if MODULES not in files:
        return "mean"
    modules: Any = _settings(files, MODULES)
    for module in modules if isinstance(modules, list) else []:
        if str(module.get("type", "")).endswith(".Pooling"):
            modes = _settings(files, f"{module.get('path', '')}/{CONFIG}")
            wanted = [mode for mode, chosen in modes.items() if mode.startswith("pooling_mode_") and chosen is True]
            if wanted == ["pooling_mode_mean_tokens"]:
                return "mean"
            if wanted == ["pooling_mode_cls_token"]:
                return "cls"
            raise EngineError(f"unsupported pooling {', '.join(wanted) or 'none'}")
    return "mean"


def _settings(files: Mapping[str, Path], name: str) -> Any:
    if name not in files:
        raise EngineError(f"open {name}: file does not exist")
    try:
        if files[name].stat().st_size > LARGEST_SETTINGS:
            raise ValueError("too large")
        return json.loads(files[name].read_bytes())
    except (OSError, ValueError) as error:
        raise EngineError(f"parse {name}: {error}") from error
