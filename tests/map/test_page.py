"""The page: whole in one file, and what stands in documents can do nothing in it."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import UsageError
from pipeline.map import CollectionMap, MapSettings, make_map, map_json, passages_at, query_json, write_page
from tests.clustered import Add, around, groups
from tests.make import hit

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "<img src=x onerror=alert(1)>",
    "'\"&lt;\u2028\u2029\x00]]>",
    "<svg/onload=alert(1)>",
]


class Elements(HTMLParser):
    """The elements of a page with their attributes, and what stands in scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] in ("script", "style") and data.strip():
            self.raw.append(data)


def written(made: CollectionMap, folder: Path, **options: Any) -> tuple[str, dict[str, Any]]:
    """The page, and the data in it."""
    path = folder / "map.html"
    write_page(path, made, **options)
    page = path.read_bytes().decode()
    content = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert content
    return page, json.loads(content[1])


def test_hostile_documents(add: Add, tmp_path: Path) -> None:
    """Whatever stands in texts, titles and paths, the page has the elements that it has without it."""
    path = "/docs/</script><img src=x onerror=alert(2)>.md"
    documents = [*groups([6]), (path, HOSTILE, around(1, len(HOSTILE), seed=2))]
    page, data = written(make_map(add(documents)), tmp_path)
    harmless, _ = written(make_map(add(groups([1], name="more"))), tmp_path)
    assert [tag for tag, _ in Elements(page).found] == [tag for tag, _ in Elements(harmless).found]
    assert set(HOSTILE) <= set(data["texts"]["text"])
    assert path in [document["path"] for document in data["documents"]]
    assert not re.search("(?i)<(img|svg|!--)", page)


def test_policy_lets_only_its_own_script_run(drawn: CollectionMap, tmp_path: Path) -> None:
    """The page's policy names its one script and one style by their hashes, and nothing else may load."""
    page, _ = written(drawn, tmp_path)
    elements = Elements(page)
    (policy,) = (attributes["content"] or "" for tag, attributes in elements.found if "http-equiv" in attributes)
    style, _, script = elements.raw
    for name, text in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert not any({"src", "href", "style", "onload"} & set(attributes) for _, attributes in elements.found)
    assert not re.search(
        r"innerHTML|eval\(|fetch\(|XMLHttpRequest|\bimport\b[^ ]", script.partition("class MapView")[2]
    )
    assert "url(" not in style and "@import" not in style


def test_points_are_the_collection(drawn: CollectionMap) -> None:
    """Every passage is a point with its document, folder, cluster and topic; sizes add up."""
    data = map_json(drawn)
    count = drawn.snapshot.manifest.live_rows
    points = data["points"]
    assert {len(points[name]) for name in ("x", "y", "document", "cluster")} == {count} == {data["shown"]}
    for name in ("documents", "folders", "topics", "clusters"):
        assert sum(group["size"] for group in data[name]) == count
    assert [folder["name"] for folder in data["folders"]] == sorted(folder["name"] for folder in data["folders"])
    assert min(points["x"]) >= 0 and max(points["x"]) <= 65535
    passages = passages_at(drawn, range(count))
    for document, passage in zip(points["document"], passages, strict=True):
        assert data["documents"][document]["path"] == passage["path"]
        assert data["documents"][document]["id"] == passage["document_id"]


def test_places_keep_their_shape(drawn: CollectionMap) -> None:
    """Whole numbers are the places up to one scale for both directions."""
    data = map_json(drawn)
    whole = np.array([data["points"]["x"], data["points"]["y"]], float).T
    scale = np.ptp(whole, axis=0) / np.ptp(drawn.places, axis=0)
    assert scale[0] == pytest.approx(scale[1], rel=1e-3)
    assert np.ptp(whole, axis=0).max() > 64_000


def test_colours(add: Add) -> None:
    """The twelve largest documents have colours of their own, in the order of their sizes; others share one."""
    data = map_json(make_map(add(groups([3 + at for at in range(15)]))))
    colors = {document["size"]: document["color"] for document in data["documents"]}
    assert [colors[3 + at] for at in range(15)] == [-1, -1, -1, *range(11, -1, -1)]
    assert len(data["palette"]["light"]) == len(data["palette"]["dark"]) == 13


def test_long_texts_are_cut(add: Add, tmp_path: Path) -> None:
    """A page holds so much of a passage; what is cut ends with an ellipsis."""
    made = make_map(add([("/a.md", ["word " * 500, "short"], around(0, 2, seed=1))]))
    _, data = written(made, tmp_path)
    assert len(data["texts"]["text"][0]) == 600 and data["texts"]["text"][0].endswith("…")
    assert data["texts"]["text"][1] == "short"


def test_points_that_are_not_there(drawn: CollectionMap) -> None:
    """Asking for a point beyond the last, or before the first, is an error; for none there is none."""
    assert passages_at(drawn, []) == []
    for point in (-1, len(drawn.places)):
        with pytest.raises(IndexError, match="points 0 to"):
            passages_at(drawn, [point])


def test_unwritable_page(drawn: CollectionMap, tmp_path: Path) -> None:
    """A place that cannot be written to is a mistake with a hint, and leaves nothing behind."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        write_page(tmp_path / "file" / "map.html", drawn)
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["file"]


def test_query_among_its_like(add: Add, tmp_path: Path) -> None:
    """A query comes to lie where passages like it do, and its hits are the points of their passages."""
    made = make_map(add(groups([40, 40, 40])))
    passages = made.sample.scope.passages(made.sample.rows.tolist())
    wanted = passages[45]
    found = replace(hit("x"), document_id=wanted["document_id"], chunk_id=wanted["chunk_id"], path=wanted["path"])
    query = query_json(made, "anything", around(1, 1, seed=7)[0], [found])
    data = map_json(made)
    places = np.array([data["points"]["x"], data["points"]["y"]]).T
    nearest = int(np.linalg.norm(places - [query["x"], query["y"]], axis=1).argmin())
    assert 40 <= nearest < 80
    assert query["hits"][0]["point"] == 45
    assert [query["hits"][0]["x"], query["hits"][0]["y"]] == places[45].tolist()
    _, content = written(made, tmp_path, query=query, color="folder")
    assert content["query"] == json.loads(json.dumps(query)) and content["color"] == "folder"


def test_hits_outside_the_sample(add: Add) -> None:
    """A hit that is not drawn is no point, and lies where its like do; so does one that the map does not know."""
    made = make_map(add(groups([60, 60, 60])), MapSettings(sample=60))
    shown = set(made.sample.rows.tolist())
    hidden = next(row for row in range(60, 120) if row not in shown)
    (passage,) = made.sample.scope.passages([hidden])
    found = replace(hit("x"), document_id=passage["document_id"], chunk_id=passage["chunk_id"])
    query = query_json(made, "q", around(1, 1, seed=8)[0], [found, replace(found, rank=2, chunk_id="gone")])
    data = map_json(made)
    places = np.array([data["points"]["x"], data["points"]["y"]]).T
    for each in query["hits"]:
        assert each["point"] is None
        nearest = int(np.linalg.norm(places - [each["x"], each["y"]], axis=1).argmin())
        assert 60 <= made.sample.rows[nearest] < 120
