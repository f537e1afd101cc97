"""The lexical index: BM25 over the words of the passages, made from the segments and kept in step with them."""

from pipeline.lexical.beside import LexicalBeside
from pipeline.lexical.index import LexicalIndex, TermScore, bring_up_to_date, carry_over
from pipeline.lexical.postings import segment_folder
from pipeline.lexical.words import Analyzer, folded, language_of, word_characters, word_pattern

__all__ = [
    "Analyzer",
    "LexicalBeside",
    "LexicalIndex",
    "TermScore",
    "bring_up_to_date",
    "carry_over",
    "folded",
    "language_of",
    "segment_folder",
    "word_characters",
    "word_pattern",
]
