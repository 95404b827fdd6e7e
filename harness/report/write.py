"""The report: tables, figures and one self-contained page, from stored results alone.

The same results give the same bytes. Files appear whole or not at all; an output whose inputs are not in
the results is left out (and removed if an earlier report left it), and the page says what would make it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from harness.analysis import headline_tables as tables
from harness.analysis.ablation_tables import NEEDS, analysis_tables
from harness.analysis.evaluation import Evaluation
from harness.analysis.published_numbers import beside, load_published
from harness.core.files import write_files
from harness.report import text as rendering
from harness.report.ablation_text import analysis_latex, analysis_markdown, shown
from harness.report.cost_tables import cost_texts
from harness.report.figures import accuracy as figures
from harness.report.figures import costs as cost_figures
from harness.report.figures import scales as analysis_figures
from harness.report.figures.palette import Palette
from harness.report.figures.style import encode, figure_files, styled
from harness.report.freshness import mark_report, results_key
from harness.report.page.chart import curve_data
from harness.report.page.explorer import collect
from harness.report.page.page import Frames, PageFigure, PageTable, render_page
from harness.report.summary import best_chooser, summary
from harness.report.text import beside_markdown
from harness.storage.results import load_results


@dataclass(frozen=True, slots=True)
class FigureOutput:
    """A figure file: its title and caption on the page, and what is needed where it cannot be drawn.

    One that is not ``on_page`` is a file only: the page shows the same in a form of its own.
    """

    stem: str
    title: str
    caption: str
    needs: str
    draw: Callable[[Evaluation, Palette], Figure | None]
    on_page: bool = True


_FIGURES = (
    FigureOutput(
        "curves",
        "Accuracy against n",
        "Expected accuracy when choosing among n samples. One line per method, at its largest data scale; bands are "
        "95 % bootstrap intervals over problems (where there are many lines, of the best one only).",
        "",
        figures.curves,
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
        cost_figures.cost_accuracy,
    ),
    FigureOutput(
        "fig2_development_cost",
        "Development cost by responses per problem",
        "FLOPs, from counted tokens, to develop a reward model on so many responses to each training problem, in "
        "multiples of what CE takes on as many. The axis is logarithmic and bars start at CE.",
        "CE and another method trained in this experiment on as many responses",
        cost_figures.development_cost,
    ),
    FigureOutput(
        "fig3_majority",
        "Voting with the scores",
        "From taking the best-scored response (bar) to voting with the scores as weights (marker); mean over "
        "generators and the sizes n above 1. The gain is paired, with its 95 % interval.",
        "at least one reward model with scores",
        figures.weighted_voting,
    ),
    FigureOutput(
        "fig4_instructions",
        "More instructions",
        "Best-of-n accuracy by the share of the training problems used, the paler the fewer; the band is the 95 % "
        "interval of the largest share.",
        "one method trained on several shares of the problems: instructions: [0.25, 0.5, 1.0] in a train: block; "
        "experiments/pocket-analysis.yaml makes it",
        analysis_figures.by_instructions,
    ),
    FigureOutput(
        "fig5_responses",
        "More responses per instruction",
        "Best-of-n accuracy by the number of responses per training problem, the paler the fewer; the band is the 95 % "
        "interval of the largest number.",
        "one method trained on several numbers of responses: responses: [2, 4, 8] in a train: block; "
        "experiments/pocket-analysis.yaml makes it",
        analysis_figures.by_responses,
    ),
)


def write_report(folder: Path, published: Path | None = None, column_width: float | None = None) -> list[Path]:
    """Write ``tables/``, ``figures/`` and ``report.html`` of a results folder; returns the paths written.

    Without options this is the standard report, which counts as fresh until the results change.

    Args:
        published: a folder of published numbers (``harness.analysis.published_numbers``) to lay these beside.
        column_width: of the figures, in inches (see :func:`harness.report.figures.style.styled`).

    Raises:
        UserError: for a folder without results, or incomplete ones.
    """
    key = results_key(folder)
    evaluation = Evaluation.of(load_results(folder))
    texts, frames, missing = _tables(evaluation)
    if published is not None:
        theirs = load_published(published)
        frame = beside(evaluation, theirs)
        texts |= {"beside_paper.csv": rendering.csv(frame), "beside_paper.md": beside_markdown(frame, theirs.index)}
    outputs = {f"tables/{name}": text.encode() for name, text in texts.items()}
    drawn, palette = [], Palette.of(evaluation)
    with styled(column_width):
        for output in _FIGURES:
            figure = output.draw(evaluation, palette)
            if figure is None:
                missing.append((output.title, output.needs))
                continue
            outputs |= figure_files(output.stem, figure)
            if output.on_page:
                drawn.append(PageFigure(output.stem, output.title, output.caption, encode(figure, "svg")))
    best = best_chooser(evaluation)
    outputs["report.html"] = render_page(
        evaluation,
        summary=summary(evaluation, best),
        frames=frames,
        figures=drawn,
        curves=curve_data(evaluation, palette),
        explorer=collect(evaluation, best),
        missing=missing,
    ).encode()

    mark_report(folder, None)
    for stale in [*folder.glob("tables/*"), *folder.glob("figures/*")]:
        if stale.is_file() and str(stale.relative_to(folder)) not in outputs:
            stale.unlink()
    paths = write_files(folder, outputs)
    if published is None and column_width is None:
        mark_report(folder, key)
    return paths


def _tables(evaluation: Evaluation) -> tuple[dict[str, str], Frames, list[tuple[str, str]]]:
    """Table files by name, their frames, and what is left out with what it needs."""
    table1 = tables.table1(evaluation)
    analysis = analysis_tables(evaluation)
    frames = Frames(
        table1=table1,
        weighted=tables.weighted_table(evaluation),
        comparisons=tables.comparisons(evaluation),
        costs=evaluation.costs,
        answers=tables.answers(evaluation.results),
        breakdown=tables.breakdown(evaluation),
        others=[PageTable(table.stem, table.title, shown(table), table.note) for table in analysis],
    )
    texts = {
        "accuracy.csv": rendering.csv(evaluation.accuracies.table()),
        "table1.csv": rendering.csv(table1.frame()),
        "table1.md": rendering.table1_markdown(table1),
        "table1.tex": rendering.table1_latex(table1),
        "answers.csv": rendering.csv(frames.answers),
    }
    missing = []
    if len(frames.weighted):
        texts["weighted.csv"] = rendering.csv(frames.weighted)
        texts["weighted.md"] = rendering.weighted_markdown(frames.weighted)
        texts["comparisons.csv"] = rendering.csv(frames.comparisons)
        texts["comparisons.md"] = rendering.comparisons_markdown(frames.comparisons)
    else:
        missing.append(("Comparisons and weighted voting", "at least one reward model with scores"))
    if len(frames.costs):
        texts["costs.csv"] = rendering.csv(frames.costs)
        texts |= cost_texts(evaluation)
    else:
        missing.append(("Costs", "reward models that compute their scores in the run; recorded scores have no ledger"))
    if len(frames.breakdown):
        texts["breakdown.csv"] = rendering.csv(frames.breakdown)
    else:
        missing.append(("Accuracy by subject and level", "problems with a subject or a level"))
    for table in analysis:
        texts[f"{table.stem}.csv"] = rendering.csv(table.frame)
        texts[f"{table.stem}.md"] = analysis_markdown(table)
        texts[f"{table.stem}.tex"] = analysis_latex(table)
    made = {table.title for table in analysis}
    missing += [(title, needs) for title, needs in NEEDS.items() if title not in made]
    return texts, frames, missing
