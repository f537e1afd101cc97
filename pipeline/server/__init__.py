"""The embedded Ollama-compatible server: the same wire, real models in this process, no set-up.

    Request ─▶ App ─▶ route ─▶ Service ─▶ EnginePool ─▶ Engine (llama.cpp) ─▶ Reply
                                  │
                              ModelStore ◀─ weights.fetch

`serve` and `run_in_thread` put an App on a socket; the in-process transports put it behind an httpx client.
"""

from pipeline.server.app import App
from pipeline.server.inprocess import AsyncInProcessTransport, InProcessTransport
from pipeline.server.models import ModelStore
from pipeline.server.serve import run_in_thread, serve
from pipeline.server.settings import ServerSettings

__all__ = [
    "App",
    "AsyncInProcessTransport",
    "InProcessTransport",
    "ModelStore",
    "ServerSettings",
    "run_in_thread",
    "serve",
]
