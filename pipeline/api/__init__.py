"""The shared API layer: one description of every Ollama endpoint, a sync and an async client made from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.api.address import DEFAULT_ADDRESS, parse_host, parse_hosts
from pipeline.api.blobs import Blob, CreatePlan, plan_create
from pipeline.api.client import Client
from pipeline.api.modelfile import Modelfile, parse_modelfile
from pipeline.api.records import as_json
from pipeline.api.replies import (
    ChatReply,
    EmbedReply,
    GenerateReply,
    Message,
    ModelDetails,
    ModelInfo,
    Progress,
    RunningModel,
    ShowReply,
    ToolCall,
)
from pipeline.api.retry import RetryPolicy
from pipeline.api.session import OnPull
from pipeline.lazy_names import lazy_names

if TYPE_CHECKING:
    from pipeline.api.async_client import AsyncClient

__all__ = [
    "DEFAULT_ADDRESS",
    "AsyncClient",
    "Blob",
    "ChatReply",
    "Client",
    "CreatePlan",
    "EmbedReply",
    "GenerateReply",
    "Message",
    "ModelDetails",
    "ModelInfo",
    "Modelfile",
    "OnPull",
    "Progress",
    "RetryPolicy",
    "RunningModel",
    "ShowReply",
    "ToolCall",
    "as_json",
    "parse_host",
    "parse_hosts",
    "parse_modelfile",
    "plan_create",
]

__getattr__ = lazy_names(__name__, {"AsyncClient": "pipeline.api.async_client"})
