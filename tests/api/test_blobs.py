"""Files for `create`: digests, uploads streamed from disk, Modelfiles translated."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from pipeline.api import Blob, parse_modelfile, plan_create
from pipeline.api.blobs import PIECE_BYTES
from pipeline.errors import BadRequest, UsageError
from tests.api.conftest import Ask
from tests.api.scripted_server import Answer, Script, as_json, lines

MISSING = Answer(status=404)
CREATED = Answer(status=201)
SUCCESS = Answer(pieces=(lines({"status": "success"}),))


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big.gguf"
    path.write_bytes(b"GGUF" + bytes(range(256)) * (PIECE_BYTES // 100))
    return path


def test_upload_sends_the_file_with_its_digest(script: Script, ask: Ask, big: Path) -> None:
    """The server is asked first, then gets every byte under the file's SHA-256, with its length, in pieces."""
    script.answers = [MISSING, CREATED]
    seen: list[tuple[int, int]] = []
    content = big.read_bytes()
    assert ask("upload_blob", big, on_bytes=lambda sent, total: seen.append((sent, total))) == digest_of(content)
    head, post = script.asked
    assert (head.method, head.path) == ("HEAD", f"/api/blobs/{digest_of(content)}")
    assert (post.method, post.path, post.body) == ("POST", head.path, content)
    assert post.headers["content-length"] == str(len(content))
    assert len(seen) == 3
    assert seen[-1] == (len(content), len(content))


def test_blob_that_is_there_is_not_sent(script: Script, ask: Ask, big: Path) -> None:
    """One HEAD request and no upload."""
    script.answers = [Answer()]
    ask("upload_blob", big)
    assert [asked.method for asked in script.asked] == ["HEAD"]


def test_upload_is_tried_again_from_the_start(script: Script, ask: Ask, big: Path) -> None:
    """A server that is busy for a moment gets the whole file again."""
    script.answers = [MISSING, as_json({"error": "busy"}, status=503), CREATED]
    ask("upload_blob", big)
    assert script.asked[2].body == big.read_bytes()


def test_digest_that_the_server_refuses_is_an_error(script: Script, ask: Ask, big: Path) -> None:
    """The server's check of the digest comes through."""
    script.answers = [MISSING, as_json({"error": "digest mismatch"}, status=400)]
    with pytest.raises(BadRequest, match="digest mismatch"):
        ask("upload_blob", big)


def test_file_that_changes_while_it_is_sent_is_noticed(tmp_path: Path) -> None:
    """A file that grew or shrank after it was digested is never passed off as the old one."""
    path = tmp_path / "a.gguf"
    path.write_bytes(b"12345")
    blob = Blob.of(path)
    path.write_bytes(b"123")
    with pytest.raises(UsageError, match="changed while it was sent"):
        list(blob.pieces())
    path.write_bytes(b"1234567")
    with pytest.raises(UsageError, match="changed while it was sent"):
        list(blob.pieces())


def test_missing_file_is_the_users_mistake(ask: Ask, tmp_path: Path) -> None:
    """A path that leads nowhere is named."""
    with pytest.raises(UsageError, match="nowhere"):
        ask("upload_blob", tmp_path / "nowhere")


MODELFILE = '''
# a comment
FROM ./model.gguf
ADAPTER adapter.gguf
PARAMETER temperature 0.5
parameter num_ctx 4096
PARAMETER stop "<|end|>"
PARAMETER stop <|user|>
PARAMETER use_mmap false
PARAMETER mirostat 1
TEMPLATE """{{ .System }}
{{ .Prompt }}"""
SYSTEM You are "terse".
MESSAGE user Is it?
MESSAGE assistant """It
is."""
LICENSE MIT
LICENSE "second"
REQUIRES v0.14.0
'''


def test_modelfile_becomes_the_fields_of_create() -> None:
    """Each command, quoted over lines or bare, in the form that the endpoint takes; what the server gave up is left out."""
    parsed = parse_modelfile(MODELFILE)
    assert (parsed.sources, parsed.adapters) == (("./model.gguf",), ("adapter.gguf",))
    assert parsed.fields == {
        "parameters": {"temperature": 0.5, "num_ctx": 4096, "stop": ["<|end|>", "<|user|>"], "use_mmap": False},
        "template": "{{ .System }}\n{{ .Prompt }}",
        "system": 'You are "terse".',
        "messages": [{"role": "user", "content": "Is it?"}, {"role": "assistant", "content": "It\nis."}],
        "license": ["MIT", "second"],
        "requires": "0.14.0",
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no FROM"),
        ("SYSTEM x", "no FROM"),
        ("FROM m\nFORM x", "line 2 .*'FORM'"),
        ("FROM m\nPARAMETER heat 3", "line 2 .*'heat'"),
        ("FROM m\n\nPARAMETER num_ctx many", "line 3 .*'many'"),
        ("FROM m\nMESSAGE robot hi", "line 2 .*'robot'"),
        ('FROM m\nSYSTEM """never', "line 2 .* not closed"),
    ],
)
def test_mistakes_in_a_modelfile_name_the_line(text: str, complaint: str) -> None:
    """An error says where and what is possible there."""
    with pytest.raises(UsageError, match=complaint) as caught:
        parse_modelfile(text)
    assert caught.value.hint


def test_planned_model_is_uploaded_and_made(script: Script, ask: Ask, tmp_path: Path) -> None:
    """Files that a Modelfile names are sent, and the request refers to them by digest."""
    (tmp_path / "model.gguf").write_bytes(b"model")
    (tmp_path / "adapter.gguf").write_bytes(b"adapter")
    plan = plan_create(parse_modelfile(MODELFILE), tmp_path)
    script.answers = [MISSING, CREATED, MISSING, CREATED, SUCCESS]
    assert ask("create_planned", "mine", plan, quantize="q4_K_M").status == "success"
    body: dict[str, Any] = script.asked[-1].body
    assert body["files"] == {"model.gguf": digest_of(b"model")}
    assert body["adapters"] == {"adapter.gguf": digest_of(b"adapter")}
    assert (body["model"], body["quantize"], body["parameters"]["num_ctx"]) == ("mine", "q4_K_M", 4096)
    assert "from" not in body


def test_source_that_is_no_file_is_a_model(tmp_path: Path) -> None:
    """FROM names a model unless a file of that name is there."""
    plan = plan_create(parse_modelfile("FROM qwen2.5-coder:1.5b"), tmp_path)
    assert (plan.source, plan.files) == ("qwen2.5-coder:1.5b", {})


def test_folder_of_weights_brings_its_configuration(tmp_path: Path) -> None:
    """Safetensors come with the JSON files beside and below them, under names relative to the folder."""
    for name in ("model.safetensors", "config.json", "tokenizer.json", "1_Pooling/config.json", "README.md"):
        (tmp_path / "bert" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "bert" / name).write_bytes(b"{}")
    plan = plan_create(parse_modelfile("FROM bert"), tmp_path)
    assert sorted(plan.files) == ["1_Pooling/config.json", "config.json", "model.safetensors", "tokenizer.json"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no model"):
        plan_create(parse_modelfile("FROM empty"), tmp_path)
    with pytest.raises(UsageError, match="no file"):
        plan_create(parse_modelfile("FROM bert\nADAPTER nowhere.gguf"), tmp_path)
