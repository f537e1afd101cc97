"""Our retrieval measures beside trec_eval's own, and the figures that the tests compare with.

Runs trec_eval through pytrec_eval-terrier in an environment made here, over judgements and runs drawn at random from a
fixed seed: graded and binary, short and long, with and without a relevant document found. Prints the largest
difference. With --write, tests/evaluate/trec_eval.json is written anew.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

ENVIRONMENT = Path(tempfile.gettempdir()) / "pipeline-trec-eval"
FIGURES = Path(__file__).parent.parent / "tests" / "evaluate" / "trec_eval.json"
NAMES = {
    "ndcg@10": "ndcg_cut_10",
    "recall@5": "recall_5",
    "recall@10": "recall_10",
    "recall@100": "recall_100",
    "map": "map",
}

TREC_EVAL = r"""
import json, sys
import pytrec_eval
from importlib.metadata import version

cases = json.load(sys.stdin)
qrels = {str(n): case["relevance"] for n, case in enumerate(cases)}
runs = {str(n): {d: float(-r) for r, d in enumerate(case["ranking"])} for n, case in enumerate(cases)}
names = {"ndcg_cut_10", "recall_5", "recall_10", "recall_100", "map", "recip_rank"}
found = pytrec_eval.RelevanceEvaluator(qrels, names).evaluate(runs)
first = {str(n): dict(list(run.items())[:10]) for n, run in runs.items()}
short = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(first)
figures = [{**found[str(n)], "recip_rank_10": short[str(n)]["recip_rank"]} for n in range(len(cases))]
print(json.dumps({"version": version("pytrec_eval-terrier"), "figures": figures}))
"""


def drawn(count: int) -> list[dict]:
    source = random.Random(20260101)
    cases = []
    for _ in range(count):
        documents = [f"d{number}" for number in range(source.choice([5, 30, 200]))]
        ranking = source.sample(documents, source.randint(1, min(100, len(documents))))
        grades = [1] if source.random() < 0.5 else [0, 1, 2, 3, 4]
        judged = source.sample(documents, source.randint(1, min(12, len(documents))))
        relevance = {name: source.choice(grades) for name in judged}
        if any(grade > 0 for grade in relevance.values()):
            cases.append({"ranking": ranking, "relevance": relevance})
    return cases


def main() -> None:
    from pipeline.evaluate.measures import judge

    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "pytrec_eval-terrier"], check=True)
    cases = drawn(60)
    done = subprocess.run(
        [str(python), "-c", TREC_EVAL], input=json.dumps(cases), capture_output=True, text=True, check=True
    )
    reply = json.loads(done.stdout)
    largest = 0.0
    for case, figures in zip(cases, reply["figures"], strict=True):
        case["figures"] = {name: round(figures[theirs], 10) for name, theirs in NAMES.items()}
        case["figures"]["mrr@10"] = round(figures["recip_rank_10"], 10)
        own = judge(case["ranking"], case["relevance"])
        largest = max([largest, *(abs(own[name] - value) for name, value in case["figures"].items())])
    print(f"{len(cases)} queries, pytrec_eval-terrier {reply['version']}: largest difference {largest:.2e}")
    if "--write" in sys.argv:
        FIGURES.write_text(json.dumps({"source": f"pytrec_eval-terrier {reply['version']}", "cases": cases}) + "\n")


if __name__ == "__main__":
    main()
