"""The shared API layer: one description of every Ollama endpoint, a sync and an async client made from it."""

from pipeline.api.address import DEFAULT_ADDRESS, parse_host
from pipeline.api.client import AsyncClient, Client
from pipeline.api.replies import (
    ChatReply,
    EmbedReply,
    GenerateReply,
    Message,
    ModelInfo,
    Progress,
    RunningModel,
    ShowReply,
)
from pipeline.api.retry import RetryPolicy

__all__ = [
    "DEFAULT_ADDRESS",
    "AsyncClient",
    "ChatReply",
    "Client",
    "EmbedReply",
    "GenerateReply",
    "Message",
    "ModelInfo",
    "Progress",
    "RetryPolicy",
    "RunningModel",
    "ShowReply",
    "parse_host",
]
