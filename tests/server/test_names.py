"""Model names. The cases are what `types/model/name.go` of the real server makes of each text."""

import pytest

from pipeline.errors import UsageError
from pipeline.server.names import ModelName, from_path, parse_name

PART80, HOST350 = "8" * 80, "3" * 350


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model", ("registry.ollama.ai", "library", "model", "latest")),
        ("model:tag", ("registry.ollama.ai", "library", "model", "tag")),
        ("namespace/model", ("registry.ollama.ai", "namespace", "model", "latest")),
        ("host/namespace/model", ("host", "namespace", "model", "latest")),
        ("host:port/namespace/model", ("host:port", "namespace", "model", "latest")),
        ("host:port/namespace/model:tag", ("host:port", "namespace", "model", "tag")),
        ("scheme://host:port/namespace/model:tag", ("host:port", "namespace", "model", "tag")),
        ("h/nn/mm:t", ("h", "nn", "mm", "t")),
        ("_why/_the/_lucky:_stiff", ("_why", "_the", "_lucky", "_stiff")),
        ("hf.co/org/Some.Model-GGUF:Q4_K_M", ("hf.co", "org", "Some.Model-GGUF", "Q4_K_M")),
        (f"{PART80}/{PART80}/{PART80}:{PART80}", (PART80,) * 4),
        (f"{HOST350}/{PART80}/{PART80}:{PART80}", (HOST350, PART80, PART80, PART80)),
    ],
)
def test_names_are_completed(text: str, expected: tuple[str, str, str, str]) -> None:
    """What is left out gets its default; the path has the four parts."""
    name = parse_name(text)
    assert (name.host, name.namespace, name.model, name.tag) == expected
    assert name.path.parts == expected
    assert from_path(expected) == name


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "^", "@", "@t", "m@d", "00@", "mm:", "n/m:", "/nn/mm", "//", "//mm", "hh//", "//mm:@", "a/b/c/d",
        "-hh/nn/mm:tt", "hh/-nn/mm:tt", "hh/nn/-mm:tt", "hh/nn/mm:-tt", "host/name:space/model:tag", "http://model",
        " model", "model\n", "mod el", "na.me/model", "..", "../model", "../../etc/passwd", "h/n/..:t", "modèle",
        f"{PART80}8", f"{HOST350}3/n/m:t", "m:" + PART80 + "8", "m\x00",
    ],
)  # fmt: skip
def test_bad_names_are_refused(text: str) -> None:
    """Nothing that is no name gets through, above all no way out of the store's folder."""
    with pytest.raises(UsageError, match="is not a model's name"):
        parse_name(text)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("registry.ollama.ai/library/model:latest", "model:latest"),
        ("REGISTRY.ollama.ai/Library/Model:tag", "Model:tag"),
        ("registry.ollama.ai/namespace/model:tag", "namespace/model:tag"),
        ("host/namespace/model:tag", "host/namespace/model:tag"),
        ("host/library/model:tag", "host/library/model:tag"),
        ("model", "model:latest"),
    ],
)
def test_short_form(text: str, short: str) -> None:
    """The shortest name that means the same, always with its tag; it reads back as the same model."""
    assert parse_name(text).short == short
    assert parse_name(short).folded == parse_name(text).folded


@pytest.mark.parametrize(
    "parts", [("m", "t"), ("n", "m", "t"), ("..", "..", "m", "t"), ("", "n", ".", "t"), ("a", "b", "c", "d", "e")]
)
def test_other_files_are_no_manifests(parts: tuple[str, ...]) -> None:
    """A file elsewhere below `manifests`, or one with a name that no model can have, is passed over."""
    assert from_path(parts) is None


def test_case_is_kept_and_does_not_distinguish() -> None:
    """As the real server: the name is shown as written, two that differ in case only are the same."""
    upper, lower = parse_name("All-MiniLM"), parse_name("all-minilm:LATEST")
    assert isinstance(upper, ModelName)
    assert upper.model == "All-MiniLM"
    assert upper.folded == lower.folded
