"""Stage 1: paths -> Documents. Finds files, decodes them and marks their structure."""

from pipeline.read.discover import Found, Skipped, discover
from pipeline.read.document import read_document

__all__ = ["Found", "Skipped", "discover", "read_document"]
