"""Models over the registry protocol: a name comes in, blobs and manifests go from or to a registry."""

from pipeline.server.registry.pull import pull_model
from pipeline.server.registry.push import push_model
from pipeline.server.registry.reference import Reference, parse_reference

__all__ = ["Reference", "parse_reference", "pull_model", "push_model"]
