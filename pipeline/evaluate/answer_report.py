"""The answers of an evaluation as one HTML page that needs nothing else: every question, every answer, its passages.

In: an AnswerComparison. Out: a page, or a file. What questions, answers and documents say becomes text and never HTML,
and the page asks no host for anything: it has no script, and a policy that lets a browser load nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.evaluate.answers import COSTS, AnswerComparison, AnswerResult, AnswerRun
from pipeline.evaluate.judging import CORRECT, FAITHFULNESS, MEASURES, JudgedCitation
from pipeline.evaluate.significance import Interval

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { border: 1px solid #8886; padding: .25rem .6rem; text-align: left; vertical-align: top; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
section { border-top: 1px solid #8886; margin-top: 1.5rem; }
article { border-left: 4px solid #8888; padding-left: 1rem; margin: 1rem 0; }
article.right { border-color: #2a8a3e; }
article.wrong { border-color: #c0392b; }
.mark { font-weight: 600; }
.unsupported { text-decoration: underline wavy #c0392b; }
.facts, .costs { opacity: .75; font-size: .9em; }
pre { white-space: pre-wrap; background: #8881; padding: .5rem; margin: .3rem 0; font-size: .85em; }
"""


def require_report(path: Path) -> None:
    """Raises UsageError where a report could not be written to `path`: before hours are spent."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"cannot write {path}: there is no such folder", hint="name a file in a folder that is there")


def write_report(path: Path, labels: Sequence[str], comparison: AnswerComparison, *, title: str) -> None:
    """Writes the page, whole or not at all. Raises UsageError where that cannot be done."""
    require_report(path)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        page = report_page(labels, comparison, title=title)
        temporary.write_text(page, encoding="utf-8", errors="replace")
        temporary.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", hint="name a file that can be written") from error


def report_page(labels: Sequence[str], comparison: AnswerComparison, *, title: str) -> str:
    """The page; `labels` name the runs in their order."""
    questions = zip(*(run.results for run in comparison.runs), strict=True)
    sections = [_section(number, labels, results) for number, results in enumerate(questions, start=1)]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            _summary(labels, comparison),
            *sections,
            "</body></html>\n",
        ]
    )


def _summary(labels: Sequence[str], comparison: AnswerComparison) -> str:
    head = "".join(f"<th>{escape(label)}</th>" for label in labels)
    names = [name for name in (*MEASURES, *COSTS) if any(name in each for each in comparison.intervals)]
    rows = [
        f"<tr><th>{name.replace('_', ' ')}</th>"
        + "".join(
            f'<td class="number">{_cell(intervals.get(name), run, name)}</td>'
            for run, intervals in zip(comparison.runs, comparison.intervals, strict=True)
        )
        + "</tr>"
        for name in names
    ]
    note = "In brackets: the bounds that hold 95 % of resamplings; n: the questions that the measure is of."
    return f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table><p>{note}</p>"


def _cell(found: Interval | None, run: AnswerRun, name: str) -> str:
    if found is None:
        return "–"
    places = 3 if name in MEASURES else 1
    bounds = f"[{found.low:.{places}f}, {found.high:.{places}f}]"
    return f"{found.mean:.{places}f} {bounds}, n {len(run.values(name))}"


def _section(number: int, labels: Sequence[str], results: Sequence[AnswerResult]) -> str:
    question = results[0].question
    parts = [f'<section id="q{number}"><h2>{number}. {escape(question.question)}</h2>']
    if question.path is None:
        parts.append('<p class="facts">Nothing answers this: a refusal is right.</p>')
    else:
        facts = "; ".join(" / ".join(wordings) for wordings in question.answer)
        parts.append(f'<p class="facts">{escape(question.path)}: “{escape(question.quote or "")}”</p>')
        parts.append(f'<p class="facts">Facts: {escape(facts) or "none given"}</p>')
    parts += [_article(label, result) for label, result in zip(labels, results, strict=True)]
    return "\n".join([*parts, "</section>"])


def verdict(result: AnswerResult) -> tuple[str, str]:
    """Whether a result is `right`, `wrong` or neither (empty), and that in words."""
    answer, judgement = result.answer, result.judgement
    if answer is None or judgement is None:
        return "wrong", f"failed: {result.error}"
    if result.question.path is None:
        return ("wrong", "answered, though nothing answers it") if answer.answered else ("right", "refused rightly")
    if not answer.answered:
        return "wrong", "refused, though a document answers it"
    if CORRECT not in judgement.measures:
        return "", "answered"
    if judgement.measures[CORRECT]:
        return "right", "correct"
    wordings = zip(result.question.answer, judgement.facts_found, strict=True)
    return "wrong", "lacks " + ", ".join(fact[0] for fact, found in wordings if not found)


def _article(label: str, result: AnswerResult) -> str:
    kind, words = verdict(result)
    sign = {"right": "✓ ", "wrong": "✗ "}.get(kind, "")
    parts = [f'<article class="{kind}"><h3>{escape(label)}</h3><p class="mark">{sign}{escape(words)}</p>']
    if result.answer is not None and result.judgement is not None:
        parts.append(_answer_text(result))
        if result.answer.answered:
            parts += [_citation(each) for each in result.judgement.citations]
            if not result.judgement.citations:
                parts.append('<p class="mark">✗ cites nothing</p>')
            if FAITHFULNESS in result.judgement.measures:
                parts.append(f'<p class="costs">faithfulness {result.judgement.measures[FAITHFULNESS]:.2f}</p>')
        parts += [f'<p class="costs">notice: {escape(text)}</p>' for text in result.answer.notices]
    costs = ", ".join(f"{name.replace('_', ' ')} {value:.1f}" for name, value in result.costs.items())
    return "\n".join([*parts, f'<p class="costs">{costs}</p></article>'])


def _answer_text(result: AnswerResult) -> str:
    """The answer with what its passages do not support underlined."""
    assert result.answer is not None
    assert result.judgement is not None
    text, shown = result.answer.text, 0
    parts: list[str] = []
    for each in result.judgement.sentences:
        sentence = escape(text[each.start : each.end])
        parts.append(escape(text[shown : each.start]))
        parts.append(sentence if each.supported else f'<span class="unsupported">{sentence}</span>')
        shown = each.end
    return f"<pre>{''.join(parts)}{escape(text[shown:])}</pre>"


def _citation(judged: JudgedCitation) -> str:
    citation = judged.citation
    sign = {True: "✓", False: "✗", None: ""}[judged.right]
    where = f"{citation.path}:{citation.start_line}-{citation.end_line}"
    passages = "".join(f"<pre>{escape(text)}</pre>" for text in _texts(judged))
    head = f'<span class="mark">{sign} [{citation.number}]</span> {escape(where)}: “{escape(citation.quote)}”'
    return f"<details><summary>{head}</summary>{passages}</details>"


def _texts(judged: JudgedCitation) -> Iterable[str]:
    return (hit.text for hit in judged.passages)
