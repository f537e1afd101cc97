"""`pipeline collections COMMAND`: looks after collections."""

from pipeline.cli.collections.group import collections

__all__ = ["collections"]
