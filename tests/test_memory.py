"""Programs that write give memory back to the system: the pool that Arrow takes, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

WRITE = """
import sys
from pipeline.cli.main import main
try:
    main()
except SystemExit:
    pass
import pyarrow as pa
print(pa.default_memory_pool().backend_name)
"""


def pool_after(arguments: list[str], environment: dict[str, str]) -> str:
    command = [sys.executable, "-c", WRITE, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **environment})
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["index", "nowhere"],
        ["collections", "optimize", "none"],
        ["collections", "re-embed", "none", "--model", "all-minilm"],
        ["collections", "import", "nothing.parquet", "-c", "none"],
    ],
)
def test_what_writes_has_arrow_use_the_c_library(arguments: list[str], tmp_path: Path) -> None:
    """Each command comes to it before anything imports Arrow."""
    assert pool_after(arguments, {"PIPELINE_HOME": str(tmp_path), "OLLAMA_HOST": "127.0.0.1:9"}) == "system"


def test_a_pool_that_the_user_chose_stands(tmp_path: Path) -> None:
    chosen = {"PIPELINE_HOME": str(tmp_path), "ARROW_DEFAULT_MEMORY_POOL": "mimalloc"}
    assert pool_after(["collections", "optimize", "none"], chosen) == "mimalloc"
