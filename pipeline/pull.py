"""Pulls a model that a server turns out to lack, once, and makes the call again.

In: a call that may end with ModelNotFound. Out: what the call returns, after a pull if one was needed.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pipeline.errors import ModelNotFound, StatusError

if TYPE_CHECKING:
    from pipeline.api import Client, Progress

logger = logging.getLogger(__name__)

Reply = TypeVar("Reply")


class ModelPuller:
    """For one model; may be shared by threads, of which one pulls while the others wait.

    Args:
        client: gives the client; called when a request is made.
        allowed: whether to pull at all.
        on_progress: called with each progress event.
    """

    def __init__(
        self,
        client: Callable[[], Client],
        model: str,
        *,
        allowed: bool = True,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._client = client
        self._model = model
        self._allowed = allowed
        self._on_progress = on_progress
        self._lock = threading.Lock()

    def retrying(self, call: Callable[[], Reply]) -> Reply:
        """`call()`, made again after a pull if the model was missing.

        Raises ModelNotFound if it is missing and cannot be pulled, with the server's reason.
        """
        try:
            return call()
        except ModelNotFound:
            if not self._allowed:
                raise
        with self._lock:
            try:
                return call()
            except ModelNotFound as missing:
                self._pull(missing)
        return call()

    def _pull(self, missing: ModelNotFound) -> None:
        logger.info("pulling %s, which the server lacks", self._model)
        try:
            for progress in self._client().pull_stream(self._model):
                if self._on_progress is not None:
                    self._on_progress(progress)
        except StatusError as error:
            raise ModelNotFound(
                f"model {self._model!r} is not on the server and cannot be pulled: {error.server_text}",
                status=missing.status,
                server_text=error.server_text,
                request=error.request,
                hint="check the name with `pipeline models list`, and the network",
            ) from error
