"""The search page and its HTTP API, on the collections of a home.

    Request ─▶ WebApp ─▶ Operation ─▶ Service ─▶ Collection ─▶ Reply, or a stream of events
                                          │
                                        Jobs (indexing, pulling)

`pipeline.server.serve` puts a WebApp on a socket. What it does with collections, library users can do as well; only
what concerns HTTP is here.
"""

from pipeline.web.app import WebApp
from pipeline.web.settings import WebSettings

__all__ = ["WebApp", "WebSettings"]
