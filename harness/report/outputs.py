"""Every table and figure of a report, declared once: what it is called, what makes it, what it needs.

The writer, the page and the list of what is left out all go through :data:`TABLES` and :data:`FIGURES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from harness.analysis import ablation_tables as ablations
from harness.analysis import headline_tables as headline
from harness.analysis.cost_ratio import cost_ratio
from harness.analysis.costs import development_table
from harness.analysis.diagnosis import calibration
from harness.analysis.equal_accuracy import equal_accuracies
from harness.analysis.evaluation import Evaluation
from harness.analysis.findings import findings
from harness.analysis.responses import responses
from harness.analysis.rows import to_frame
from harness.analysis.rule_table import rule_table
from harness.analysis.seed_table import seed_table
from harness.analysis.set_table import by_set
from harness.analysis.unscored import rules_left_out
from harness.report import table_texts as texts
from harness.report.figures import accuracy, benchmarks, costs, scales
from harness.report.figures import compute as how_much
from harness.report.figures import diagnosis as why
from harness.report.figures.palette import Palette

_EXPERIMENT = "experiments/pocket-analysis.yaml makes it"


@dataclass(frozen=True, slots=True)
class TableOutput:
    """A table: rows or a frame, and what makes files of it.

    Attributes:
        name: of its files and of its place on the page.
        needs: what the results must have. Without it nothing is said where the table is left out: it needs nothing, or
            what another table needs.
        make: the table; empty or None where the results lack what it needs.
        frame: what its CSV file holds.
        texts: the text of its further files, by suffix.
    """

    name: str
    title: str
    needs: str
    make: Callable[[Evaluation], Any]
    frame: Callable[[Any], pd.DataFrame] = to_frame
    texts: Mapping[str, Callable[[Any], str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FigureOutput:
    """A figure with its caption on the page. ``draw`` gives None where the results lack what it ``needs``.

    One that is not ``on_page`` is a file only: the page shows the same in a form of its own.
    """

    name: str
    title: str
    caption: str
    needs: str
    draw: Callable[[Evaluation, Palette], Figure | None]
    on_page: bool = True


def _itself(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


_ABLATION = {"md": texts.ablation_markdown, "tex": texts.ablation_latex}

TABLES = (
    TableOutput("accuracy", "Accuracy at every n", "", lambda evaluation: evaluation.accuracies.table()),
    TableOutput(
        "table1",
        "Accuracy",
        "",
        headline.table1,
        headline.Table1.frame,
        {"md": texts.table1_markdown, "tex": texts.table1_latex},
    ),
    TableOutput("seeds", "Training seeds", "", seed_table),
    TableOutput("sets", "Accuracy by problem set", "", by_set, texts={"md": texts.sets_markdown}),
    TableOutput("overoptimisation", "Where accuracy peaks", "", lambda evaluation: evaluation.peaks),
    TableOutput("score_curves", "Score and accuracy against n", "", lambda evaluation: evaluation.score_curves),
    TableOutput("diagnosis", "Diagnosis", "", lambda evaluation: evaluation.diagnosis),
    TableOutput("calibration", "Calibration", "", lambda e: calibration(e.choosers, e.reliability)),
    TableOutput("benchmarks", "Benchmarks", "", lambda evaluation: evaluation.benchmarks.rows),
    TableOutput("benchmark_agreement", "Benchmarks' order", "", lambda e: e.benchmarks.agreement),
    TableOutput("answers", "Answers", "", headline.answers),
    TableOutput("responses", "Responses", "", responses),
    TableOutput(
        "weighted",
        "Comparisons and weighted voting",
        "at least one reward model with scores",
        headline.weighted_table,
        texts={"md": texts.weighted_markdown},
    ),
    TableOutput("selection", "Selection rules", "", rule_table),
    TableOutput("findings", "The paper's findings", "", findings, texts={"md": texts.findings_markdown}),
    TableOutput("unanswered", "Problems without responses", "", lambda evaluation: evaluation.unanswered),
    TableOutput("unscored", "Responses without a score", "", lambda evaluation: evaluation.unscored),
    TableOutput("verdicts", "Verdicts that can be read", "", lambda evaluation: evaluation.verdicts),
    TableOutput("left_out", "Reward models left out", "", lambda evaluation: evaluation.left_out),
    TableOutput("rules_left_out", "Selection rules left out", "", lambda e: rules_left_out(e.accuracies)),
    TableOutput("verifiers", "Two verifiers", "", lambda e: e.second_opinion and e.second_opinion.agreement()),
    TableOutput(
        "verifier_ranking",
        "Reward models under either verifier",
        "",
        lambda e: e.second_opinion and e.second_opinion.ranking(list(e.choosers.items())),
    ),
    TableOutput(
        "verifier_disagreements",
        "Where the verifiers disagree",
        "",
        lambda e: e.second_opinion and e.second_opinion.disagreements(),
    ),
    TableOutput("comparisons", "Comparisons", "", headline.comparisons, texts={"md": texts.comparisons_markdown}),
    TableOutput(
        "costs",
        "Costs",
        "reward models that compute their scores in the run; recorded scores have no ledger",
        lambda evaluation: evaluation.costs,
        _itself,
    ),
    TableOutput(
        "compute",
        "Accuracy and compute",
        "",  # the figure says it
        lambda evaluation: evaluation.compute.rows if evaluation.compute.is_known else None,
    ),
    TableOutput(
        "smaller_generators",
        "A smaller generator, or a larger one",
        "",
        lambda evaluation: evaluation.smaller_generators,
    ),
    TableOutput(
        "development_cost",
        "Development cost",
        "",
        lambda evaluation: development_table(evaluation.trainings, evaluation.costs),
        _itself,
    ),
    TableOutput(
        "equal_accuracy",
        "Costs at equal accuracy",
        "",
        equal_accuracies,
    ),
    TableOutput("cost_ratio", "Math-Shepherd against CE", "", cost_ratio, texts={"md": texts.cost_ratio_markdown}),
    TableOutput("breakdown", "Accuracy by subject and level", "problems with a subject or a level", headline.breakdown),
    TableOutput(
        "table2",
        "One change of the training data at a time",
        f"trainings that differ in one choice of their data, or a second stage of training; {_EXPERIMENT}",
        ablations.training_data,
        ablations.AblationTable.frame,
        _ABLATION,
    ),
    TableOutput(
        "table3",
        "Reward models as policies",
        f"trained models named under policies:; {_EXPERIMENT}",
        ablations.policies,
        ablations.AblationTable.frame,
        _ABLATION,
    ),
    TableOutput(
        "table4",
        "Scoring relative to generation",
        f"responses sampled in the run and reward models with a cost; {_EXPERIMENT}",
        ablations.scoring_cost,
        ablations.AblationTable.frame,
        _ABLATION,
    ),
    TableOutput(
        "table5",
        "The reference model in training and in scoring",
        f"one method trained with and without a reference (reference: null), each scored both ways; {_EXPERIMENT}",
        ablations.reference_model,
        ablations.AblationTable.frame,
        _ABLATION,
    ),
)

FIGURES = (
    FigureOutput(
        "curves",
        "Accuracy against n",
        "Expected accuracy when choosing among n samples. One line per method, at its largest data scale; bands are "
        "95 % bootstrap intervals over problems (where there are many lines, of the best one only).",
        "",
        accuracy.curves,
        on_page=False,
    ),
    FigureOutput(
        "fig1_cost_accuracy",
        "Development cost against accuracy",
        "Best-of-n accuracy, averaged over generators, against what it took to develop the reward model: rollouts, "
        "labels, reference passes and training, in FLOPs from counted tokens. Bars are 95 % intervals; horizontal "
        "lines cost nothing to develop. Arrows lead from what the most accurate method with several scales would cost "
        "to what another one costs at the other's best accuracy, by interpolation on the logarithm of cost; > and < "
        "where the cheapest scale of the one is already better than the best of the other.",
        "reward models trained in this experiment: give entries a train: block, with several sizes of responses:",
        costs.cost_accuracy,
    ),
    FigureOutput(
        "compute",
        "Accuracy against compute",
        "What it takes to answer a problem, against how often the answer is right: sampling n responses, and scoring "
        "them (a vote takes no scoring), n doubling from dot to dot. A generator's lines start where one response is "
        "taken alone. In FLOPs from counted tokens, a prompt read once for all responses to its problem; and in "
        "seconds as measured, in proportion to n. The grey line is the Pareto front with 95 % intervals: no other "
        "choice of any generator is right more often for fewer FLOPs. What it took to develop a reward model is not in "
        "here.",
        "responses sampled in this run by a model of known size: recorded responses say nothing of their FLOPs, and a "
        "server does not say what its model is",
        how_much.compute,
    ),
    FigureOutput(
        "fig2_development_cost",
        "Development cost by responses per problem",
        "FLOPs, from counted tokens, to develop a reward model on so many responses to each training problem, in "
        "multiples of what CE takes on as many. The axis is logarithmic and bars start at CE.",
        "CE and another method trained in this experiment on as many responses",
        costs.development_cost,
    ),
    FigureOutput(
        "fig3_majority",
        "Voting with the scores",
        "From taking the best-scored response (bar) to voting with the scores as weights (marker); mean over "
        "generators and the sizes n above 1. The gain is paired, with its 95 % interval.",
        "at least one reward model with scores",
        accuracy.weighted_voting,
    ),
    FigureOutput(
        "roc",
        "Right responses above wrong ones",
        "The mean over problems of their ROC curves: of the right responses to a problem, the share that score at "
        "least as high as a share of the wrong ones. Best-of-n follows from these curves at every n: at large n only "
        "the left end counts. The diagonal chooses at random. Beside the lines: the area under the curve (AUROC).",
        "at least one reward model with scores, and problems with right and wrong responses",
        why.roc_curves,
    ),
    FigureOutput(
        "calibration",
        "Calibration",
        "Of the responses that a reward model gives a probability around x, the share that is right; on the diagonal "
        "the probabilities are what they say. Larger marks stand for more responses. Beside the lines: the expected "
        "calibration error, in points. Choosing needs the order of scores only, so a model may choose well and be far "
        "off here.",
        "",
        why.calibration,
    ),
    FigureOutput(
        "overoptimisation",
        "Score and accuracy of what is chosen",
        "Above: how far the score of the best of n is above that of a response drawn at random, in standard deviations "
        "of all scores. Below: how often it is right; a ring marks the best n. The distance along x is the bound on "
        "the KL divergence from the generator, log n - (n - 1) / n, in nats. Where the score rises and the accuracy "
        "falls, the reward model is optimised too far. Nothing is extrapolated beyond the responses there are: what "
        "comes then depends on scores rarer than any seen here.",
        "",
        why.overoptimisation,
    ),
    FigureOutput(
        "benchmarks",
        "Benchmarks beside best-of-n",
        "Each reward model by its number in a published benchmark and by how often the best of n responses is right; "
        "bars are 95 % intervals over problems. Spearman's rank correlation stands above, with its interval over the "
        "problems of this run, and the p of a test that tries other orders of the reward models. The benchmark's own "
        "numbers are taken as they are: their papers give no interval.",
        "numbers of a benchmark: bonbench benchmark NAME FILE --results RESULTS",
        benchmarks.beside_best_of_n,
    ),
    FigureOutput(
        "fig4_instructions",
        "More instructions",
        "Best-of-n accuracy by the share of the training problems used, the paler the fewer; the band is the 95 % "
        "interval of the largest share.",
        "one method trained on several shares of the problems: instructions: [0.25, 0.5, 1.0] in a train: block; "
        "experiments/pocket-analysis.yaml makes it",
        scales.by_instructions,
    ),
    FigureOutput(
        "fig5_responses",
        "More responses per instruction",
        "Best-of-n accuracy by the number of responses per training problem, the paler the fewer; the band is the 95 % "
        "interval of the largest number.",
        "one method trained on several numbers of responses: responses: [2, 4, 8] in a train: block; "
        "experiments/pocket-analysis.yaml makes it",
        scales.by_responses,
    ),
)
