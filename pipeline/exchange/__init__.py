"""Collections in and out: a collection <-> Parquet, JSON lines or NumPy files that other programs read and write."""

from pipeline.exchange.export import ExportReport, export_collection, export_lines
from pipeline.exchange.formats import Columns
from pipeline.exchange.importing import ImportProgress, ImportReport, import_vectors

__all__ = [
    "Columns",
    "ExportReport",
    "ImportProgress",
    "ImportReport",
    "export_collection",
    "export_lines",
    "import_vectors",
]
