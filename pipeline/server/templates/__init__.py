"""Chat templates in Go's language, as Ollama stores them: a template and messages come in, a prompt goes out."""

from pipeline.server.templates.chat import ChatTemplate, parse_template
from pipeline.server.templates.parse import TemplateError

__all__ = ["ChatTemplate", "TemplateError", "parse_template"]
