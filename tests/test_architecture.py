"""The bones: imports point one way, the public names are what `__all__` says, start-up stays light."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline

PACKAGE = Path(pipeline.__file__).parent

# Each part may import those before it, and itself.
ORDER = (
    ("version", "types", "installed", "interrupts", "cores", "memory", "lazy_names"),
    ("errors", "processes"),
    ("config",),
    ("api",),
    ("server",),
    ("read",),
    ("chunk",),
    ("embed",),
    ("store",),
    ("index", "lexical"),
    ("optimize",),
    ("ingest", "reembed"),
    ("preview",),
    ("exchange",),
    ("query",),
    ("answer", "map"),
    ("connect",),
    ("collection", "conversation", "shapes"),
    ("dialogue",),
    ("evaluate",),
    ("web",),
    ("cli",),
)
RANK = {name: rank for rank, group in enumerate(ORDER) for name in group}
RANK["__main__"] = RANK["cli"] + 1
# The embedded server stands alone beside the stages, and `api` beside it.
FORBIDDEN = {("server", "api"), ("server", "config"), ("api", "config"), ("api", "types")}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    """Parts of the package that a file imports, wherever in the file the import stands."""
    parts: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        parts.update(name.split(".")[1] for name in names if name.startswith("pipeline."))
    return parts


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    """A stage imports the stages before it and never those after it."""
    part = part_of(path)
    assert part in RANK, f"{part} has no place in the order"
    for imported in imported_parts(path) - {part}:
        assert RANK[imported] < RANK[part], f"{part} imports {imported}, which comes after it"
        assert (part, imported) not in FORBIDDEN, f"{part} must not know of {imported}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    """Each file starts with a docstring."""
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_public_names_are_those_listed() -> None:
    """Every name of `__all__` exists, and `dir` shows no other public one."""
    visible = {name for name in dir(pipeline) if not name.startswith("_")}
    assert set(pipeline.__all__) == visible
    for name in pipeline.__all__:
        assert getattr(pipeline, name) is not None


def loaded_by(code: str) -> set[str]:
    """Names of all modules that are loaded after it."""
    script = f"import sys, json\n{code}\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import pipeline",
        "import pipeline.cli.main\ntry:\n    pipeline.cli.main.main(['--help'])\nexcept SystemExit:\n    pass",
    ],
    ids=["import", "help"],
)
def test_start_up_loads_nothing_heavy(code: str) -> None:
    """Importing the package and printing help load neither arrays, nor Arrow, nor HTTP, nor an engine."""
    heavy = {
        "numpy",
        "pyarrow",
        "faiss",
        "httpx",
        "xllamacpp",
        "gguf",
        "uvicorn",
        "docutils",
        "markdown_it",
        "tqdm",
    }
    assert not loaded_by(code) & heavy


def test_a_search_loads_nothing_that_only_others_need() -> None:
    """`pipeline search` is often run: of what answers, indexes and exchanges it imports nothing."""
    others = {
        "pipeline.ingest",
        "pipeline.answer.generative",
        "pipeline.exchange",
        "pipeline.chunk",
        "pipeline.reembed",
    }
    loaded = loaded_by("import pipeline.cli.search")
    assert "pipeline.query.search" in loaded
    assert not loaded & (others | {"asyncio", "pyarrow.compute", "tqdm"})
