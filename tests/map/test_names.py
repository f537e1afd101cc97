"""Names on the map: words that tell a group from the others, file names that tell documents apart, folders."""

import numpy as np
import pytest

from pipeline.map import CollectionMap
from pipeline.map.clusters import Names, cluster_rows, rows_to_read
from pipeline.map.folders import folders_of, names_of
from tests.clustered import around
from tests.make import unit_rows


def named(*groups: list[str]) -> list[str]:
    names = Names()
    for number, texts in enumerate(groups):
        for text in texts:
            names.add(number, text)
    return names.of(range(len(groups)))


def test_words_that_tell_groups_apart() -> None:
    """A group is named by words that its passages have and others lack, not by what all have, nor by numbers."""
    keys = [f"Signing keys in the office are rotated every {day} days by the engineer" for day in range(8)]
    bread = [f"The dough in the office rests {hour} hours before bread is baked" for hour in range(8)]
    one, other = named(keys, bread)
    assert set(one.split(", ")) <= {"Signing", "signing", "keys", "rotated", "engineer", "days"}
    assert set(other.split(", ")) <= {"dough", "rests", "bread", "baked", "hours"}


def test_worked_example() -> None:
    """The weights of class-based tf-idf, computed by hand.

    Two groups of two passages, 9 words counted in all, so 4.5 a group on average. In the first, `tide` is in both
    passages and nowhere else: 2/2 log(1 + 4.5/2) = 1.18; `harbour` is in both and in one of the other group: log(1 +
    4.5/3) = 0.92; `gauge` is in one, and one alone names nothing there: groups of up to three passages take it too:
    1/2 log(1 + 4.5/1) = 0.85.
    """
    assert named(["tide harbour gauge", "tide harbour"], ["harbour boat", "boat sail"])[0] == "tide, harbour, gauge"


def test_one_form_for_all_forms() -> None:
    """Forms of a word count together and are shown as most often written; no word stands in a name twice."""
    (name, _) = named(["Rotating keys", "rotated keys", "rotated key", "rotated keys"], ["bread and dough"] * 4)
    assert sorted(name.split(", ")) == ["keys", "rotated"]


def test_scripts_without_spaces() -> None:
    """Japanese is named by pairs of characters rather than by whole sentences, or not at all."""
    name, _ = named(["金継ぎは器を直す", "金継ぎの歴史"], ["tide gauge", "tide table"])
    assert name and all(len(word) == 2 for word in name.split(", "))


def test_nothing_to_name_by() -> None:
    """Passages of numbers only have a name all the same."""
    assert named(["1 2 3", "4 5 6"], ["tide gauge", "tide table"])[0] == "group 1"


def test_real_names(drawn: CollectionMap) -> None:
    """Names of real topics consist of words that say something, and no two topics have the same one."""
    names = drawn.facts.topic_names
    assert len(set(names)) == len(names) > 1
    words = {word.casefold() for name in (*names, *drawn.facts.cluster_names) for word in name.split(", ")}
    assert not words & {"the", "and", "with", "this", "that", "have", "there", "from"}
    assert {"salt", "flour", "dough", "bread", "tide"} & words


def test_clusters_are_groups_of_neighbours() -> None:
    """Vectors around four axes in equal numbers: no cluster holds vectors of two axes."""
    vectors = np.concatenate([around(axis, 30, seed=axis) for axis in range(4)])
    clusters, topics = cluster_rows(vectors, seed=0)
    owner = np.repeat(np.arange(4), 30)
    assert all(len(set(owner[clusters == cluster].tolist())) == 1 for cluster in set(clusters.tolist()))
    assert set(clusters.tolist()) == set(range(len(topics)))
    assert set(topics) == set(range(max(topics) + 1))


@pytest.mark.parametrize("count", [1, 2, 12, 13, 700])
def test_clusters_by_size(count: int) -> None:
    """The largest cluster is the first, and there are no more than a map can name."""
    clusters, _ = cluster_rows(unit_rows(count, 8), seed=0)
    sizes = np.bincount(clusters)
    assert (np.diff(sizes) <= 0).all() and sizes.min() > 0 and len(sizes) <= 60


def test_rows_that_are_read() -> None:
    """Names are made of a bounded number of passages of each cluster."""
    clusters = np.repeat(np.array([0, 1, 2], np.int32), [5000, 300, 3])
    read = rows_to_read(clusters)
    assert np.bincount(clusters[read]).tolist() == [200, 200, 3]
    assert len(np.unique(read)) == 403


def test_file_names_tell_documents_apart() -> None:
    """As much of the path as is needed."""
    paths = ["/docs/a/index.md", "/docs/b/index.md", "/docs/a/keys.md"]
    assert names_of(paths) == ["a/index.md", "b/index.md", "keys.md"]


def test_folders() -> None:
    """Below what all documents share; the fullest folder is split, as long as there are not too many."""
    paths = ["/d/a/x/1.md", "/d/a/y/1.md", "/d/b/1.md", "/d/1.md"]
    names, owner = folders_of(paths, [10, 10, 3, 1], 12)
    assert [names[at] for at in owner.tolist()] == ["a/x", "a/y", "b", "d"]
    names, owner = folders_of(paths, [10, 10, 3, 1], 3)
    assert [names[at] for at in owner.tolist()] == ["a", "a", "b", "d"]


def test_one_folder_and_odd_paths() -> None:
    """One document, or documents whose paths are no paths, are in a folder too."""
    assert folders_of(["/notes/keys.md"], [4], 12)[0] == ["notes"]
    names, owner = folders_of(["a", "b"], [1, 1], 12)
    assert names == ["/"] and owner.tolist() == [0, 0]
