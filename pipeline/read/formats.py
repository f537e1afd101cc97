"""Which reader reads which file. A format is a name, its suffixes and the module whose `parse` reads its content.

Text formats are parsed in this process from decoded text; the others from bytes, in a worker process with limits, as
their libraries decompress, follow references and run foreign code.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.read.files import MAX_BYTES
from pipeline.types import Block


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What a reader makes of a file's content: the text that spans refer to, and its structure.

    `metadata` has the keys of docs/formats.md; `source_lines`, `pages` and `notices` are those of a `Document`.
    """

    text: str
    blocks: tuple[Block, ...]
    title: str = ""
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    source_lines: tuple[tuple[int, int], ...] = ()
    pages: tuple[tuple[int, int], ...] = ()
    notices: tuple[str, ...] = ()


class Unreadable(Exception):
    """A reader cannot make text of a file: why, as the end of the sentence "file.pdf ...", and what to do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """`of_bytes`: its reader takes bytes, and runs in a worker process. `max_bytes` limits the file."""

    name: str
    module: str
    suffixes: tuple[str, ...]
    of_bytes: bool = False
    max_bytes: int = MAX_BYTES


LARGE = 256 * 2**20
"""The limit for formats that hold pictures and attachments, which are left out."""

FORMATS = {
    each.name: each
    for each in (
        Format(name="markdown", module="markdown", suffixes=(".md", ".markdown")),
        Format(name="text", module="text", suffixes=(".txt", ".text", ".log")),
        Format(name="html", module="html", suffixes=(".html", ".htm", ".xhtml")),
        Format(name="python", module="python", suffixes=(".py", ".pyi")),
        Format(name="rst", module="rst", suffixes=(".rst", ".rest")),
        Format(name="latex", module="latex", suffixes=(".tex", ".ltx")),
        Format(name="csv", module="table", suffixes=(".csv", ".tsv")),
        Format(name="json", module="json", suffixes=(".json", ".jsonl", ".ndjson")),
        Format(name="notebook", module="notebook", suffixes=(".ipynb",)),
        Format(name="code", module="code", suffixes=()),
        Format(name="pdf", module="pdf", suffixes=(".pdf",), of_bytes=True, max_bytes=LARGE),
        Format(name="docx", module="docx", suffixes=(".docx", ".docm"), of_bytes=True, max_bytes=LARGE),
        Format(name="pptx", module="pptx", suffixes=(".pptx", ".pptm"), of_bytes=True, max_bytes=LARGE),
        Format(
            name="xlsx",
            module="xlsx",
            suffixes=(".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"),
            of_bytes=True,
        ),
        Format(name="epub", module="epub", suffixes=(".epub",), of_bytes=True, max_bytes=LARGE),
        Format(name="email", module="email", suffixes=(".eml", ".mbox"), of_bytes=True, max_bytes=LARGE),
        Format(name="archive", module="archive", suffixes=(), of_bytes=True, max_bytes=LARGE),
    )
}

SUFFIXES = {suffix: each.name for each in FORMATS.values() for suffix in each.suffixes}

NAMES = {
    "README": "text",
    "LICENSE": "text",
    "LICENCE": "text",
    "NOTICE": "text",
    "CHANGELOG": "text",
    "COPYING": "text",
}

OPENED_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")
"""Archives that are read when they are named; the others are only told from other files."""
ARCHIVES = (*OPENED_ARCHIVES, ".7z", ".rar", ".gz", ".bz2", ".xz", ".zst", ".lz4", ".jar", ".war", ".whl")

LANGUAGES = {
    "bash": (".sh", ".bash", ".zsh", ".ksh"),
    "batch": (".bat", ".cmd"),
    "c": (".c", ".h"),
    "clojure": (".clj", ".cljs", ".cljc", ".edn"),
    "cmake": (".cmake",),
    "cpp": (".cc", ".cpp", ".cxx", ".c++", ".hh", ".hpp", ".hxx", ".ipp", ".inl"),
    "csharp": (".cs",),
    "css": (".css", ".scss", ".sass", ".less"),
    "dart": (".dart",),
    "elixir": (".ex", ".exs"),
    "elm": (".elm",),
    "erlang": (".erl", ".hrl"),
    "fortran": (".f", ".f90", ".f95", ".f03", ".for"),
    "fsharp": (".fs", ".fsi", ".fsx"),
    "go": (".go",),
    "graphql": (".graphql", ".gql"),
    "groovy": (".groovy", ".gradle"),
    "haskell": (".hs", ".lhs"),
    "hcl": (".tf", ".hcl"),
    "ini": (".ini", ".cfg", ".conf", ".properties"),
    "java": (".java",),
    "javascript": (".js", ".mjs", ".cjs", ".jsx"),
    "julia": (".jl",),
    "kotlin": (".kt", ".kts"),
    "lisp": (".lisp", ".lsp", ".cl", ".el", ".scm", ".rkt"),
    "lua": (".lua",),
    "make": (".mk", ".mak"),
    "nim": (".nim",),
    "objective-c": (".m", ".mm"),
    "ocaml": (".ml", ".mli"),
    "pascal": (".pas", ".pp"),
    "perl": (".pl", ".pm"),
    "php": (".php",),
    "powershell": (".ps1", ".psm1"),
    "protobuf": (".proto",),
    "r": (".r",),
    "ruby": (".rb", ".rake", ".gemspec"),
    "rust": (".rs",),
    "scala": (".scala", ".sc", ".sbt"),
    "solidity": (".sol",),
    "sql": (".sql",),
    "svelte": (".svelte",),
    "swift": (".swift",),
    "toml": (".toml",),
    "typescript": (".ts", ".mts", ".cts", ".tsx"),
    "vb": (".vb",),
    "verilog": (".v", ".sv", ".svh"),
    "vhdl": (".vhd", ".vhdl"),
    "vue": (".vue",),
    "xml": (".xml", ".xsd", ".xsl", ".xslt"),
    "yaml": (".yaml", ".yml"),
    "zig": (".zig",),
}
"""Programming languages of the format `code`, by their suffixes."""

LANGUAGE_BY_SUFFIX = {suffix: language for language, suffixes in LANGUAGES.items() for suffix in suffixes}
LANGUAGE_BY_NAME = {"DOCKERFILE": "dockerfile", "MAKEFILE": "make", "GNUMAKEFILE": "make", "CMAKELISTS.TXT": "cmake"}


def format_of(path: Path) -> str | None:
    """The format of a file by its name, or None if no reader takes it."""
    name, suffix = path.name.upper(), path.suffix.lower()
    if name in LANGUAGE_BY_NAME or suffix in LANGUAGE_BY_SUFFIX:
        return "code"
    return SUFFIXES.get(suffix) or NAMES.get(name)


def language_of(path: Path) -> str | None:
    """The programming language of a file of the format `code`, by its name."""
    return LANGUAGE_BY_NAME.get(path.name.upper()) or LANGUAGE_BY_SUFFIX.get(path.suffix.lower())


def format_when_named(path: Path) -> str:
    """The format of a file that is to be read whatever it is: an archive is opened, anything else is taken for text."""
    return format_of(path) or ("archive" if path.name.lower().endswith(OPENED_ARCHIVES) else "text")


def is_archive(path: Path) -> bool:
    return path.name.lower().endswith(ARCHIVES)


def limit_of(path: Path, kind: str | None) -> int:
    """How many bytes a file may have to be read; `kind` is its `format_of`."""
    return FORMATS[kind or format_when_named(path)].max_bytes


def reader_of(name: str) -> Callable[[str], Parsed]:
    """The function that reads a file's decoded content, for a text format."""
    return importlib.import_module(f"pipeline.read.{FORMATS[name].module}").parse


def bytes_reader_of(name: str) -> Callable[[bytes], Parsed]:
    """The function that reads a file's bytes, for the other formats. Not to be called in the main process."""
    return importlib.import_module(f"pipeline.read.{FORMATS[name].module}").parse
