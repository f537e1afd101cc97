"""Long work: indexing and uploads as jobs that are watched and stopped."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.config import Config
from pipeline.server import run_in_thread
from pipeline.web import WebApp, WebSettings
from tests.embed_server import Behaviour, embed_server
from tests.web.conftest import Site, write
from tests.web.test_web_api import streamed


def ended(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    """The job after its last event."""
    *_, (name, last) = streamed(client, "GET", f"/api/jobs/{job['id']}/events")
    assert name == "end"
    assert client.get(f"/api/jobs/{job['id']}").json() == last
    return last


@pytest.fixture
def behaviour() -> Behaviour:
    return Behaviour()


@pytest.fixture
def slow(behaviour: Behaviour, tmp_path: Path) -> Iterator[httpx.Client]:
    """A page over an embedding server that does as it is told."""
    root = write(tmp_path / "root", {f"{at:03}.txt": f"Text number {at}.\n" for at in range(60)})
    with embed_server(behaviour) as address:
        config = Config(home=tmp_path / "home", host=address, batch_size=4, concurrency=1)
        with WebApp(config, WebSettings(roots=(root,))) as app, run_in_thread(app) as url:
            with httpx.Client(base_url=url, timeout=60) as client:
                yield client


def test_index_a_folder(slow: httpx.Client, behaviour: Behaviour) -> None:
    """Events tell how far it is; the result is the report of `index --json`; failures are listed."""
    behaviour.poison = {"number 7.": "500"}
    job = slow.post("/api/collections/new/index", json={"paths": ["."]})
    assert job.status_code == 202
    last = ended(slow, job.json())
    assert last["state"] == "done"
    assert last["result"]["documents"] == {"added": 59, "updated": 0, "unchanged": 0, "removed": 0, "failed": 1}
    assert last["progress"]["files"] == last["progress"]["files_done"] == 60
    [failure] = last["progress"]["failures"]
    assert failure["path"].endswith("007.txt:1")
    assert slow.get("/api/collections").json()["collections"][0]["documents"] == 60
    assert [each["id"] for each in slow.get("/api/jobs").json()["jobs"]] == [last["id"]]


def test_cancel_keeps_what_was_embedded(slow: httpx.Client, behaviour: Behaviour) -> None:
    """A canceled run has committed what it had; the next one embeds the rest, of which three requests were on their way."""
    behaviour.delay = 0.2
    job = slow.post("/api/collections/new/index", json={"paths": ["."]}).json()
    assert slow.post("/api/collections/new/index", json={"paths": ["."]}).status_code == 409
    for _, now in streamed(slow, "GET", f"/api/jobs/{job['id']}/events"):
        if now["progress"].get("chunks_done", 0) >= 8:
            break
    assert slow.delete(f"/api/jobs/{job['id']}").status_code == 200
    last = ended(slow, job)
    assert last["state"] == "canceled"
    kept = last["progress"]["kept"]["chunks"]["embedded"]
    assert 8 <= kept < 60
    assert slow.get("/api/collections/new").json()["chunks"] == kept
    behaviour.delay = 0
    again = ended(slow, slow.post("/api/collections/new/index", json={"paths": ["."]}).json())
    assert again["result"]["chunks"]["embedded"] == 60 - kept
    assert len(behaviour.texts) <= 60 + 3 * 4


def test_failed_job_says_why(slow: httpx.Client, behaviour: Behaviour) -> None:
    """The error is the one of the command, with its hint."""
    behaviour.present = False
    behaviour.cannot_pull = "pull model manifest: no such model"
    last = ended(slow, slow.post("/api/collections/new/index", json={"paths": ["."]}).json())
    assert (last["state"], last["error"]["type"]) == ("failed", "PullFailed")


def test_upload_then_index(slow: httpx.Client) -> None:
    """An uploaded file is found; removed, its passages go with the next run."""
    place = "/api/collections/mine/uploads"
    for name, text in (("a note.md", "# Tides\n\nThe harbour gauge."), ("zwei.txt", "Zweite Notiz.")):
        assert slow.put(f"{place}/{name}", content=text.encode()).status_code == 201
    assert ended(slow, slow.post("/api/collections/mine/index", json={"uploads": True}).json())["state"] == "done"
    found = slow.get("/api/collections/mine/search", params={"q": "harbour", "mode": "lexical"}).json()["hits"]
    assert [Path(hit["path"]).name for hit in found] == ["a note.md"]
    assert slow.delete(f"{place}/a note.md").status_code == 200
    assert slow.delete(f"{place}/a note.md").status_code == 404
    ended(slow, slow.post("/api/collections/mine/index", json={"uploads": True}).json())
    assert [Path(each["path"]).name for each in slow.get("/api/collections/mine").json()["files"]] == ["zwei.txt"]


def test_remove_a_collection(slow: httpx.Client) -> None:
    """It is gone, and can be made anew."""
    ended(slow, slow.post("/api/collections/new/index", json={"paths": ["001.txt"]}).json())
    assert slow.delete("/api/collections/new").json() == {"removed": "new"}
    assert slow.get("/api/collections/new").status_code == 404
    assert slow.delete("/api/collections/new").status_code == 404
    ended(slow, slow.post("/api/collections/new/index", json={"paths": ["001.txt"]}).json())
    assert slow.get("/api/collections/new").json()["documents"] == 1


def test_pull(slow: httpx.Client, behaviour: Behaviour) -> None:
    """A pull is a job as well."""
    behaviour.present = False
    last = ended(slow, slow.post("/api/models/pull", json={"model": "all-minilm"}).json())
    assert (last["state"], last["progress"]["status"]) == ("done", "success")
    assert [model["name"] for model in slow.get("/api/models").json()["models"]] == ["all-minilm:latest"]


def test_stopping_the_server_ends_jobs(behaviour: Behaviour, tmp_path: Path) -> None:
    """Closing waits for a job to keep what it has, and leaves nothing running."""
    behaviour.delay = 0.2
    root = write(tmp_path / "root", {f"{at:03}.txt": f"Text number {at}.\n" for at in range(60)})
    with embed_server(behaviour) as address:
        config = Config(home=tmp_path / "home", host=address, batch_size=4, concurrency=1)
        with WebApp(config, WebSettings(roots=(root,))) as app, run_in_thread(app) as url:
            job = httpx.post(f"{url}/api/collections/new/index", json={"paths": ["."]}).json()
            while httpx.get(f"{url}/api/jobs/{job['id']}").json()["progress"].get("chunks_done", 0) < 4:
                time.sleep(0.02)
        assert app.service.jobs.get(job["id"]).state == "canceled"
        assert 0 < len(behaviour.texts) < 60


def test_who_hangs_up_ends_the_answer(site: Site) -> None:
    """The place among the answers is free again, long before the model would have said it all."""
    body = {"messages": [{"role": "user", "content": "Count from one to nine hundred, in words."}]}
    for _ in range(2):
        with site.client.stream("POST", "/api/chat", json=body) as reply:
            assert next(reply.iter_lines()) == "event: piece"
        while site.app.service.answers_running:
            time.sleep(0.02)
