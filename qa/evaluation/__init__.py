"""Evaluation of retrieval and cited answers: run a question set over a library, compare runs, tune.

from qa.evaluation import evaluate
report = evaluate(library, "questions.csv", out="run")
print(report.measures["nDCG@10"])
"""

from qa.errors import QuestionsError
from qa.evaluation.compare import Comparison, Difference, compare
from qa.evaluation.evaluate import evaluate, evaluate_run
from qa.evaluation.questions import QuestionSet, load_questions
from qa.evaluation.reported import Report
from qa.evaluation.tune import Fit, tune
from qa.evaluation.types import EvaluationProgress, Measured, Question, Settings

__all__ = [
    "Comparison",
    "Difference",
    "EvaluationProgress",
    "Fit",
    "Measured",
    "Question",
    "QuestionSet",
    "QuestionsError",
    "Report",
    "Settings",
    "compare",
    "evaluate",
    "evaluate_run",
    "load_questions",
    "tune",
]
