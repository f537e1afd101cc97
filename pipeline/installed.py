"""How this package was installed, and so how an extra of it is added.

In: the name of an extra. Out: the command that installs it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import urlsplit

DISTRIBUTION = "pipeline"


def install_command(extra: str) -> str:
    """`pip install -e '.[documents]'` for one installed from a checkout, whose folder it names as seen from here.

    An index of packages may have another of the same name, which must not take the place of the checkout.
    """
    return command_for(_origin(), extra)


def command_for(origin: str, extra: str) -> str:
    """The command, from what `direct_url.json` (PEP 610) says of where the package came from; empty for an index."""
    try:
        said = json.loads(origin)
        url, folder = str(said["url"]), said.get("dir_info")
    except (ValueError, KeyError, TypeError):
        return f"pip install '{DISTRIBUTION}[{extra}]'"
    if folder is None:
        return f"pip install '{DISTRIBUTION}[{extra}] @ {url}'"
    from urllib.request import url2pathname  # noqa: PLC0415 - heavy, and only needed for an error

    path = Path(url2pathname(urlsplit(url).path))
    place = "." if path == Path.cwd() else os.fspath(path)
    return f"pip install {'-e ' if folder.get('editable') else ''}'{place}[{extra}]'"


def _origin() -> str:
    from importlib import metadata  # noqa: PLC0415 - heavy, and only needed for an error

    try:
        return metadata.distribution(DISTRIBUTION).read_text("direct_url.json") or ""
    except metadata.PackageNotFoundError:
        return ""
