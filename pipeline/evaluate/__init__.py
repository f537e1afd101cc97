"""How good retrieval and answers are: test collections and golden questions against what comes back."""

from pipeline.evaluate.answer_report import verdict, write_report
from pipeline.evaluate.answers import AnswerComparison, AnswerResult, AnswerRun, run_answers
from pipeline.evaluate.beir import TestCollection, is_test_collection, read_test_collection
from pipeline.evaluate.compare import BeirTask, Comparison, GoldenTask, run_modes, run_settings
from pipeline.evaluate.draft import draft_questions, question_line
from pipeline.evaluate.golden import GoldenQuestion, evaluate_golden, read_golden
from pipeline.evaluate.judging import Judgement, judge_answer
from pipeline.evaluate.measures import average_precision, judge, mean, ndcg, recall, reciprocal_rank
from pipeline.evaluate.plot import plot_comparison, require_plot
from pipeline.evaluate.runs import Run
from pipeline.evaluate.significance import Difference, Interval, difference, interval

__all__ = [
    "AnswerComparison",
    "AnswerResult",
    "AnswerRun",
    "BeirTask",
    "Comparison",
    "Difference",
    "GoldenQuestion",
    "GoldenTask",
    "Interval",
    "Judgement",
    "Run",
    "TestCollection",
    "average_precision",
    "difference",
    "draft_questions",
    "evaluate_golden",
    "interval",
    "is_test_collection",
    "judge",
    "judge_answer",
    "mean",
    "ndcg",
    "plot_comparison",
    "question_line",
    "read_golden",
    "read_test_collection",
    "recall",
    "reciprocal_rank",
    "require_plot",
    "run_answers",
    "run_modes",
    "run_settings",
    "verdict",
    "write_report",
]
