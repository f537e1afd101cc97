"""What every route needs: the store, the loaded models, and how a request's model name leads to a lease."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pipeline.errors import UsageError
from pipeline.server.engine import EnginePlan, slots_of
from pipeline.server.exchange import Cancellation, Refusal
from pipeline.server.facts import ModelFacts, model_facts
from pipeline.server.machine import usable_cores
from pipeline.server.models import ModelStore
from pipeline.server.names import parse_name
from pipeline.server.options import Options, resolve
from pipeline.server.pool import EnginePool, Lease
from pipeline.server.settings import ServerSettings
from pipeline.server.stored_model import StoredModel
from pipeline.server.templates.choice import go_template

INVALID_NAME = "invalid model name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A model that is here, its facts, and the name the client used for it, which replies repeat."""

    name: str
    model: StoredModel
    facts: ModelFacts

    @property
    def full_name(self) -> str:
        """The name with registry and namespace, as the real server writes it in some errors; a file's is its path."""
        if self.model.name == str(self.model.model_path):
            return self.model.name
        name = parse_name(self.model.name)
        return f"{name.host}/{name.namespace}/{name.model}:{name.tag}"


class Service:
    """Holds no state of its own. Thread-safe as the store and the pool are."""

    def __init__(self, store: ModelStore, settings: ServerSettings, pool: EnginePool) -> None:
        self.store = store
        self.settings = settings
        self.pool = pool

    def choose(self, name: str, *, unknown: str) -> Chosen:
        """The stored model called `name`; `unknown` is the text of the 404, with `{}` for the name."""
        model = self.find(name)
        if model is None:
            raise Refusal(404, unknown.format(name))
        return Chosen(name=name, model=model, facts=model_facts(model.model_path))

    def find(self, name: str) -> StoredModel | None:
        """The stored model called `name`, or None. Refuses what cannot be a model's name."""
        if not self.store.opens(name):
            check_name(name)
        return self.store.find(name)

    def options(self, chosen: Chosen, request_options: dict[str, Any]) -> Options:
        return resolve(chosen.model.parameters, request_options)

    def context(self, chosen: Chosen, options: Options) -> int:
        """Tokens that one request may use: what was asked for, within what the model was trained with."""
        return min(options.context or self.settings.context_length, chosen.facts.context_length)

    def lease(self, chosen: Chosen, options: Options, keep_alive: float | None, cancellation: Cancellation) -> Lease:
        facts = chosen.facts
        plan = EnginePlan(
            context=self.context(chosen, options),
            embedding=facts.is_embedding,
            quantized=facts.quantized,
            threads=options.threads or self.settings.threads or usable_cores(),
            template=go_template(chosen.model.template, facts),
            parallel=self.settings.num_parallel,
        )
        cache = facts.cache_per_token * plan.context * slots_of(plan)
        plan = replace(plan, memory=chosen.model.model_path.stat().st_size + cache)
        return self.pool.lease(chosen.model, plan, keep_alive=keep_alive, cancellation=cancellation)


def check_name(name: str) -> None:
    """Refuse what cannot be a model's name."""
    try:
        parse_name(name)
    except UsageError as error:
        raise Refusal(400, INVALID_NAME) from error
