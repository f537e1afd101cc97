"""Runs stages 1 to 4 as one lazy chain: brings a collection up to date with paths and reports what it did."""

from pipeline.ingest.report import ChunkCounts, DocumentCounts, Failure, IndexProgress, IndexReport, Notice
from pipeline.ingest.run import index_paths

__all__ = ["ChunkCounts", "DocumentCounts", "Failure", "IndexProgress", "IndexReport", "Notice", "index_paths"]
