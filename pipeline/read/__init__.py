"""Stage 1: paths -> Documents. Finds files, decodes them and marks their structure."""

from pipeline.read.discover import Found, Skipped, discover
from pipeline.read.document import read_document
from pipeline.read.language import with_language

__all__ = ["Found", "Skipped", "discover", "read_document", "with_language"]
