"""Blobs and the models made of them: what is sent while one is made, and what stands in the store then."""

import asyncio
import hashlib
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from pipeline.server import App, AsyncInProcessTransport, InProcessTransport, ModelStore, ServerSettings, run_in_thread
from pipeline.server.convert import tensor_names
from pipeline.server.gguf_header import read_header
from tests.server.conftest import CHAT, EMBED
from tests.server.make_model import safetensors, tiny_gguf
from tests.server.test_convert import VOCABULARY, random_tensors


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def lines(reply: httpx.Response) -> list[Any]:
    assert reply.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in reply.text.splitlines()]


def manifest(store: ModelStore, name: str) -> Any:
    return json.loads((store.manifests / "registry.ollama.ai" / "library" / name / "latest").read_bytes())


def upload(client: httpx.Client, content: bytes) -> str:
    digest = digest_of(content)
    assert client.post(f"/api/blobs/{digest}", content=content).status_code == 201
    return digest


def test_blob(own_client: httpx.Client, own_store: ModelStore) -> None:
    """It is not there, is taken, is there, and a second time there is nothing to do."""
    digest = digest_of(b"hello")
    assert own_client.head(f"/api/blobs/{digest}").status_code == 404
    assert own_client.post(f"/api/blobs/{digest}", content=b"hello").status_code == 201
    assert own_client.head(f"/api/blobs/{digest}").status_code == 200
    assert own_client.post(f"/api/blobs/{digest}", content=b"hello").status_code == 200
    assert own_store.blob_path(digest).read_bytes() == b"hello"


def test_blob_with_another_digest(own_client: httpx.Client, own_store: ModelStore) -> None:
    """It is refused with both digests, and nothing of it stays."""
    wanted, found = digest_of(b"a"), digest_of(b"b")
    reply = own_client.post(f"/api/blobs/{wanted}", content=b"b")
    assert reply.status_code == 400
    assert reply.json() == {"error": f'digest mismatch, expected "{wanted}", got "{found}"'}
    assert not own_store.blob_path(wanted).exists()
    assert not own_store.blob_path(found).exists()


@pytest.mark.parametrize("digest", ["xx", "sha256:12", "../../etc/passwd"])
def test_no_digest(own_client: httpx.Client, digest: str) -> None:
    """What is no digest never becomes a path."""
    reply = own_client.post("/api/blobs/" + digest.replace("/", "%2F"), content=b"x")
    assert (reply.status_code, reply.json()) == (400, {"error": "invalid digest format"})


def test_create_from_a_model(own_client: httpx.Client, own_store: ModelStore) -> None:
    """Weights are shared, what is new is said and shown, parameters join those of the model it is made from."""
    base = own_store.find(EMBED)
    assert base is not None
    body = {
        "model": "made",
        "from": EMBED,
        "system": "Be terse.",
        "parameters": {"stop": ["x"]},
        "license": ["one", "two"],
        "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "r"}],
    }
    sent = [line["status"] for line in lines(own_client.post("/api/create", json=body))]
    weights = base.model_path.name.replace("-", ":")
    assert sent[0] == f"using existing layer {weights}"
    assert [status for status in sent if status.startswith("creating")] == [
        f"creating new layer {digest}"
        for digest in (
            digest_of(b"Be terse."),
            digest_of(b"one"),
            digest_of(b"two"),
            digest_of(json.dumps({**base.parameters, "stop": ["x"]}, separators=(",", ":"), sort_keys=True).encode() + b"\n"),
            digest_of(json.dumps(body["messages"], separators=(",", ":")).encode() + b"\n"),
        )
    ]  # fmt: skip
    assert sent[-2:] == ["writing manifest", "success"]
    shown = own_client.post("/api/show", json={"model": "made"}).json()
    assert (shown["system"], shown["messages"]) == ("Be terse.", body["messages"])
    assert shown["license"].endswith("one\ntwo")
    assert shown["details"]["parent_model"] == "all-minilm:latest"
    assert "num_ctx" in shown["parameters"]
    assert 'stop                           "x"' in shown["parameters"]
    assert manifest(own_store, "made")["layers"][0]["from"] == "all-minilm:latest"
    vectors = own_client.post("/api/embed", json={"model": "made", "input": "a"}).json()["embeddings"]
    assert len(vectors[0]) == 384


def test_create_again(own_client: httpx.Client, own_store: ModelStore) -> None:
    """What only the earlier model of that name used is gone, and the weights are not."""
    own_client.post("/api/create", json={"model": "made", "from": CHAT, "system": "First."})
    first = digest_of(b"First.")
    assert own_store.blob_path(first).exists()
    reply = own_client.post("/api/create", json={"model": "made", "from": "made", "system": "Second.", "stream": False})
    assert reply.json() == {"status": "success"}
    assert not own_store.blob_path(first).exists()
    made = own_store.find("made")
    assert made is not None
    assert made.system == "Second."
    assert own_store.find(CHAT) is not None


def test_create_from_a_file(own_client: httpx.Client, own_store: ModelStore, tmp_path: Path) -> None:
    """An uploaded GGUF file is a model whose details are those of its header."""
    path = tiny_gguf(tmp_path / "tiny.gguf")
    digest = upload(own_client, path.read_bytes())
    sent = lines(own_client.post("/api/create", json={"model": "tiny", "files": {"tiny.gguf": digest}}))
    assert [line["status"] for line in sent] == [
        "parsing GGUF", f"using existing layer {digest}", "writing manifest", "success",
    ]  # fmt: skip
    made = own_store.find("tiny")
    assert made is not None
    assert (made.model_path.name, made.details.family, made.details.quantization_level) == (
        digest.replace(":", "-"), "llama", "F16",
    )  # fmt: skip
    assert own_client.post("/api/create", json={"model": "t2", "files": {"tiny": digest}}).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"model": ""}, 400, "invalid model name"),
        ({}, 400, "neither 'from' or 'files' was specified"),
        ({"files": {}}, 400, "unknown type"),
        ({"files": {"/a.gguf": "x"}}, 400, "file path must be relative"),
        ({"files": {"../a.gguf": "x"}}, 400, "file path must be relative"),
        ({"files": {"a.gguf": ""}}, 400, "invalid digest format"),
        ({"files": {"a": "sha256:" + "0" * 64}}, 400, "unknown type"),
        ({"from": CHAT, "quantize": "q8_0"}, 500, "quantization is only supported for F16, BF16 and F32 models"),
        ({"from": CHAT, "quantize": "q2_K"}, 500, "unsupported quantization type Q2_K - supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0"),
        ({"from": CHAT, "template": "{{ .Mine }}"}, 400, "template error: field .Mine is not supported"),
        ({"from": CHAT, "template": "{{ if .System }}"}, 400, "template error: if without end"),
        ({"from": EMBED, "template": "{{ .Prompt }}"}, 400, "custom templates are not supported for this model: the one in its file is used"),
        ({"from": CHAT, "adapters": {"a": "x"}}, 400, "the embedded server does not support 'adapters' in create"),
        ({"from": CHAT, "license": [1]}, 400, "json: cannot unmarshal number into Go struct field CreateRequest.license of type string"),
    ],
)  # fmt: skip
def test_create_that_is_refused(own_client: httpx.Client, body: dict[str, Any], status: int, message: str) -> None:
    """What is wrong is said before anything is written."""
    reply = own_client.post("/api/create", json={"model": "made", **body})
    assert (reply.status_code, reply.json()) == (status, {"error": message})
    assert "made:latest" not in own_client.get("/api/tags").text


def folder_of(store: ModelStore, folder: Path) -> dict[str, Path]:
    """The embedding model's file as its authors would publish it: the numbers are those of the GGUF file, in float32."""
    from gguf import GGUFReader
    from gguf.quants import dequantize

    model = store.find(EMBED)
    assert model is not None
    reader = GGUFReader(model.model_path)
    sources = {name: source for source, name in tensor_names(6).items()}
    tensors = {sources[tensor.name]: dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    kinds = reader.fields["tokenizer.ggml.token_type"].contents()
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    words = [
        token if kind != 1 or (token.startswith("[") and token.endswith("]") and len(token) > 2)
        else token[1:] if token.startswith("\u2581") else f"##{token}"
        for token, kind in zip(tokens, kinds, strict=True)
    ]  # fmt: skip
    config = {
        "architectures": ["BertModel"], "hidden_act": "gelu", "max_position_embeddings": 512, "hidden_size": 384,
        "num_hidden_layers": 6, "intermediate_size": 1536, "num_attention_heads": 12, "layer_norm_eps": 1e-12,
        "type_vocab_size": 2,
    }  # fmt: skip
    pooling = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    modules = [{"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]
    tokenizer = {"model": {"type": "WordPiece", "vocab": {word: number for number, word in enumerate(words)}}}
    half = len(tensors) // 2
    safetensors(folder / "one", dict(list(tensors.items())[:half]))
    safetensors(folder / "two", dict(list(tensors.items())[half:]))
    texts = {
        "config.json": config,
        "modules.json": modules,
        "1_Pooling/config.json": pooling,
        "tokenizer.json": tokenizer,
    }
    for number, content in enumerate(texts.values()):
        (folder / str(number)).write_text(json.dumps(content), "utf-8")
    return {
        "model-00001-of-00002.safetensors": folder / "one",
        "model-00002-of-00002.safetensors": folder / "two",
        **{name: folder / str(number) for number, name in enumerate(texts)},
    }


def cosines(client: httpx.Client, one: str, two: str) -> list[float]:
    texts = ["A cat sleeps.", "How large is the sea?", "The quick brown fox, naïve and 27.", "x"]
    rows = [
        client.post("/api/embed", json={"model": model, "input": texts}).json()["embeddings"] for model in (one, two)
    ]
    return (np.array(rows[0]) * np.array(rows[1])).sum(axis=1).tolist()


def test_create_from_safetensors(own_client: httpx.Client, own_store: ModelStore, tmp_path: Path) -> None:
    """A folder in two shards gives the vectors of the model's known good file, in every precision."""
    folder = tmp_path / "folder"
    folder.mkdir()
    files = {name: upload(own_client, path.read_bytes()) for name, path in folder_of(own_store, folder).items()}
    sent = [line["status"] for line in lines(own_client.post("/api/create", json={"model": "made", "files": files}))]
    made = own_store.find("made")
    assert made is not None
    assert sent == [
        "converting model", f"creating new layer {made.model_path.name.replace('-', ':')}", "writing manifest", "success",
    ]  # fmt: skip
    assert (made.details.family, made.details.quantization_level) == ("bert", "F16")
    assert min(cosines(own_client, EMBED, "made")) > 0.999
    assert own_client.post("/api/show", json={"model": "made"}).json()["capabilities"] == ["embedding"]

    small = {"model": "small", "files": files, "quantize": "q8_0"}
    sent = [line["status"] for line in lines(own_client.post("/api/create", json=small))]
    assert list(dict.fromkeys(sent))[:3] == ["converting model", "quantizing F16 model to Q8_0", "verifying conversion"]
    shown = own_client.post("/api/show", json={"model": "small"}).json()
    assert shown["details"]["quantization_level"] == "Q8_0"
    assert min(cosines(own_client, EMBED, "small")) > 0.999
    assert list((own_store.root / "partial").iterdir()) == []


def test_quantize_a_stored_model(own_client: httpx.Client, own_store: ModelStore, tmp_path: Path) -> None:
    """The new model has fewer bits, the old one is as it was; a precision that cannot be made is refused."""
    content = tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    digest = upload(own_client, content)
    own_client.post("/api/create", json={"model": "tiny", "files": {"tiny.gguf": digest}})
    sent = lines(own_client.post("/api/create", json={"model": "tinier", "from": "tiny", "quantize": "Q8_0"}))
    assert sent[0] == {
        "status": "quantizing F16 model to Q8_0", "digest": "0000000000000000000", "total": len(content), "completed": 512,
    }  # fmt: skip
    tinier, tiny = own_store.find("tinier"), own_store.find("tiny")
    assert tinier is not None
    assert tiny is not None
    assert (tinier.details.quantization_level, tinier.parent) == ("Q8_0", "tiny:latest")
    assert tiny.model_path.read_bytes() == content
    before, after = read_header(tiny.model_path).metadata, read_header(tinier.model_path).metadata
    new = {"general.file_type": 7, "general.quantization_version": 2}
    assert {**before, **new} == after
    reply = own_client.post("/api/create", json={"model": "t", "from": "tiny", "quantize": "Q4_K_M"})
    assert (reply.status_code, reply.json()["error"]) == (
        400, "the embedded server quantizes to F32, F16, Q8_0 only: upload a file that is Q4_K_M already",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", None, "open config.json: file does not exist"),
        ("config.json", "{", "parse config.json: "),
        ("config.json", "{}", "unknown architecture"),
        ("config.json", '{"architectures": ["LlamaForCausalLM"]}', 'unsupported architecture "LlamaForCausalLM"'),
        ("config.json", '{"architectures": ["BertModel"], "hidden_act": "relu"}', 'unsupported activation "relu"'),
        ("config.json", '{"architectures": ["BertModel"], "position_embedding_type": "relative_key"}', 'unsupported positions "relative_key"'),
        ("tokenizer.json", None, "unknown tokenizer format"),
        ("tokenizer.json", '{"model": {"type": "BPE", "vocab": {}}}', "a tokenizer of type BPE is not BERT's"),
        ("tokenizer_config.json", '{"do_lower_case": false}', "unsupported tokenizer: "),
        ("1_Pooling/config.json", None, "open 1_Pooling/config.json: file does not exist"),
        ("1_Pooling/config.json", '{"pooling_mode_max_tokens": true}', "unsupported pooling pooling_mode_max_tokens"),
        ("model-00001-of-00002.safetensors", "short", "cannot be converted: "),
    ],
)  # fmt: skip
def test_folder_that_is_refused(
    own_client: httpx.Client, tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    """What is missing, damaged or of a kind that would be read wrongly is named; no model is made."""
    config = {
        "architectures": ["BertModel"], "max_position_embeddings": 16, "hidden_size": 32, "num_hidden_layers": 2,
        "intermediate_size": 64, "num_attention_heads": 4, "layer_norm_eps": 1e-12, "type_vocab_size": 2,
    }  # fmt: skip
    tokenizer = {"model": {"type": "WordPiece", "vocab": {word: number for number, word in enumerate(VOCABULARY)}}}
    texts: dict[str, str | None] = {
        "config.json": json.dumps(config),
        "tokenizer.json": json.dumps(tokenizer),
        "modules.json": json.dumps([{"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]),
        "1_Pooling/config.json": json.dumps({"pooling_mode_cls_token": True}),
        name: content,
    }
    files = {name: upload(own_client, text.encode()) for name, text in texts.items() if text is not None}
    if name not in files or not name.endswith("safetensors"):
        weights = safetensors(tmp_path / "weights", random_tensors()).read_bytes()
        files["model-00001-of-00002.safetensors"] = upload(own_client, weights)
    reply = own_client.post("/api/create", json={"model": "made", "files": files})
    assert message in lines(reply)[-1]["error"]
    assert own_client.post("/api/show", json={"model": "made"}).status_code == 404


def test_create_from_what_is_no_model(own_client: httpx.Client) -> None:
    """The stream has begun, so the error is its last line."""
    digest = upload(own_client, b"hello")
    sent = lines(own_client.post("/api/create", json={"model": "made", "files": {"a.gguf": digest}}))
    assert sent == [{"status": "parsing GGUF"}, {"error": "supplied file was not in GGUF format"}]


def test_create_from_a_model_that_cannot_be_pulled(own_client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is pulled first, and what the pull says is said here."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    sent = lines(own_client.post("/api/create", json={"model": "made", "from": "nowhere-at-all"}))
    assert sent[0] == {"status": "pulling manifest"}
    assert "nowhere-at-all" in sent[-1]["error"]


def test_blob_over_the_limit(own_store: ModelStore) -> None:
    """The limit is for bodies that are held in memory; a blob goes to the disk piece by piece, by socket or not."""
    content = bytes(range(256)) * 4096
    digest = digest_of(content)

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(content), 1000):
            yield content[start : start + 1000]

    async def pieces_later() -> AsyncIterator[bytes]:
        for piece in pieces():
            yield piece

    async def send_later(app: App) -> int:
        async with httpx.AsyncClient(transport=AsyncInProcessTransport(app), base_url="http://embedded") as client:
            return (await client.post(f"/api/blobs/{digest}", content=pieces_later())).status_code

    with App(own_store, ServerSettings(max_body_bytes=100)) as app, run_in_thread(app) as url:
        with (
            httpx.Client(transport=InProcessTransport(app), base_url="http://embedded") as near,
            httpx.Client(base_url=url) as far,
        ):
            for client in (near, far):
                assert client.post(f"/api/blobs/{digest}", content=pieces()).status_code == 201
                assert own_store.blob_path(digest).read_bytes() == content
                assert client.post(f"/api/blobs/{digest}", content=pieces()).status_code == 200
                own_store.blob_path(digest).unlink()
                assert client.post("/api/create", content=content[:200]).status_code == 413
        assert asyncio.run(send_later(app)) == 201
        assert own_store.blob_path(digest).read_bytes() == content


def test_blob_whose_sender_goes_away(own_store: ModelStore) -> None:
    """Nothing of it stays, and the server goes on."""
    content = b"x" * 2**20
    with App(own_store) as app, run_in_thread(app) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            head = f"POST /api/blobs/{digest_of(content)} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(content)}\r\n\r\n"
            connection.sendall(head.encode() + content[: 2**19])
            while not list(own_store.blobs.glob("sha256-????????")):
                time.sleep(0.01)
        while list(own_store.blobs.glob("sha256-????????")):
            time.sleep(0.01)
        assert not own_store.blob_path(digest_of(content)).exists()
        assert httpx.get(f"{url}/api/version").status_code == 200


def test_blob_for_a_store_that_cannot_be_written_to(own_client: httpx.Client, own_store: ModelStore) -> None:
    """It is said in the real server's words."""
    own_store.blobs.rename(own_store.root / "elsewhere")
    own_store.blobs.write_bytes(b"")
    reply = own_client.post(f"/api/blobs/{digest_of(b'a')}", content=b"a")
    assert reply.status_code == 500
    assert reply.json()["error"].startswith("write ")


def test_stored_messages_and_system_prompt_are_read(own_client: httpx.Client) -> None:
    """What a model was made with stands before what it is asked: more is read, by chat and by generate."""
    stored = [{"role": "user", "content": "Is it late?"}, {"role": "assistant", "content": "It is."}]
    made = {"model": "made", "from": CHAT, "system": "You are a clock in a tower.", "messages": stored, "stream": False}
    assert own_client.post("/api/create", json=made).json() == {"status": "success"}

    def tokens_read(model: str, path: str, **fields: Any) -> int:
        body = {"model": model, "stream": False, "options": {"num_predict": 1}, **fields}
        return own_client.post(path, json=body).raise_for_status().json()["prompt_eval_count"]

    asked = {"messages": [{"role": "user", "content": "And now?"}]}
    spelled = [{"role": "system", "content": "You are a clock in a tower."}, *stored, *asked["messages"]]
    assert tokens_read("made", "/api/chat", **asked) == tokens_read(CHAT, "/api/chat", messages=spelled)
    assert tokens_read("made", "/api/generate", prompt="And now?") == tokens_read(CHAT, "/api/chat", messages=spelled)


TEMPLATE = """{{- if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}{{ if .Prompt }}<|im_start|>user
Question: {{ .Prompt }}<|im_end|>
{{ end }}<|im_start|>assistant
{{ .Response }}<|im_end|>
"""


def test_model_with_a_template_of_its_own(own_client: httpx.Client, own_store: ModelStore) -> None:
    """What the model reads is the template's text, by every endpoint; the model it was made from reads as before."""
    made = {"model": "made", "from": CHAT, "template": TEMPLATE, "stream": False}
    assert own_client.post("/api/create", json=made).json() == {"status": "success"}
    assert own_client.post("/api/show", json={"model": "made"}).json()["template"] == TEMPLATE
    prompt = (
        "<|im_start|>system\nBe terse.<|im_end|>\n<|im_start|>user\nQuestion: One?<|im_end|>\n<|im_start|>assistant\nTwo.<|im_end|>\n"
        "<|im_start|>user\nQuestion: Three?<|im_end|>\n<|im_start|>assistant\n"
    )
    messages = [
        {"role": "system", "content": "Be terse."},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "Two."},
        {"role": "user", "content": "Three?"},
    ]
    options = {"num_predict": 8, "temperature": 0, "seed": 1}

    def ask(path: str, **fields: Any) -> dict[str, Any]:
        body = {"stream": False, "options": options, **fields}
        return own_client.post(path, json=body).raise_for_status().json()

    wanted = ask("/api/generate", model=CHAT, prompt=prompt, raw=True)
    got = ask("/api/chat", model="made", messages=messages)
    assert got["prompt_eval_count"] == wanted["prompt_eval_count"]
    assert got["message"]["content"] == wanted["response"]
    body = {"model": "made", "messages": messages, "max_tokens": 8, "temperature": 0}
    reply = own_client.post("/v1/chat/completions", json=body).raise_for_status().json()
    assert reply["usage"]["prompt_tokens"] == wanted["prompt_eval_count"]
    one = ask("/api/generate", model="made", prompt="One?", system="Be terse.")
    raw = ask("/api/generate", model=CHAT, prompt=prompt.partition("Two.")[0], raw=True)
    assert (one["prompt_eval_count"], one["response"]) == (raw["prompt_eval_count"], raw["response"])
    before = ask("/api/chat", model=CHAT, messages=messages)
    assert before["prompt_eval_count"] < got["prompt_eval_count"]
