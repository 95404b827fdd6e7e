"""Each table as Markdown and, where papers print it, as LaTeX."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.analysis.ablation_tables import AblationTable
from harness.analysis.choosers import AVERAGE, ORACLE
from harness.analysis.cost_ratio import LABELLED, YARDSTICK, CostRatioRow
from harness.analysis.costs import DEVELOPMENT
from harness.analysis.findings import MARGIN, FindingRow, by_finding, overall_verdict
from harness.analysis.headline_tables import RivalRow, Table1, WeightedRow
from harness.analysis.inference import Interval
from harness.analysis.published_numbers import BesideRow, Index
from harness.analysis.set_table import SetRow
from harness.report.text import booktabs, difference, latex, latex_row, markdown, percent, place, signed_percent

AVERAGE_NOTE = "avg: mean over generators and the sizes n above 1."

_HEADS = {"training_data": "training data", "reward_model": "reward model"}
_CONVENTION = {"flops": "with attention and prompts", "plain_flops": "2 and 6 per weight and token"}


@dataclass(frozen=True, slots=True)
class _Marks:
    """How a format writes text, the best of a column, a number that cannot be told from it, and no number."""

    text: Callable[[str], str]
    best: str
    tied: str
    none: str


_PLAIN = _Marks(str, "{}", "{}", "–")
_MARKDOWN = _Marks(str, "**{}**", "{}†", "–")
# The dagger takes no room, so that the column's digits stay below each other.
_LATEX = _Marks(latex, r"\textbf{{{}}}", r"{}\rlap{{$^\dagger$}}", "--")


# --- Table 1 -------------------------------------------------------------------------------------------


def table1_markdown(table: Table1, note: str | None = None) -> str:
    """A pipe table and, below it, ``note`` (default: :func:`table1_note`)."""
    header = ["accuracy (%)", *("avg" if n is None else f"{generator} @{n}" for generator, n in table.columns)]
    rows = [[row.label, *_table1_cells(table, i, _MARKDOWN, True)] for i, row in enumerate(table.rows)]
    return markdown(header, rows) + f"\n{table1_note(table) if note is None else note}\n"


def table1_note(table: Table1) -> str:
    """What the marks of a table mean; nothing is said of marks that it does not have."""
    parts = ["Accuracy in percent with 95 % bootstrap intervals over problems.", AVERAGE_NOTE]
    if table.sets:
        parts.insert(1, sets_note(table.sets))
    parts.append("Bold: best in its column, the oracle aside.")
    if table.tied:
        parts.append("†: cannot be told from it (the 95 % interval of the paired difference reaches 0).")
    if table.seed_sds:
        sds = "; ".join(f"{label} {percent(sd)}" for label, sd in table.seed_sds.items() if not math.isnan(sd))
        parts.append("(seeds): mean over trainings with other seeds; its interval is over problems and seeds.")
        parts += [f"Standard deviation over seeds of the average: {sds}."] if sds else []
    by_share: dict[float, list[str]] = {}
    for label, share in table.label_shares.items():
        by_share.setdefault(share, []).append(label)
    parts += [
        f"Trained on {percent(share, 0)} % of the training problems, those whose step labels were paid for: "
        f"{', '.join(labels)}."
        for share, labels in by_share.items()
    ]
    return " ".join(parts)


def sets_note(sets: Sequence[str]) -> str:
    """What an accuracy is where there are several problem sets."""
    return f"Accuracies are means over the sets {', '.join(sets[:-1])} and {sets[-1]}, each of which counts the same."


def sets_markdown(rows: Sequence[SetRow]) -> str:
    """A row per chooser, a column per problem set and one for the mean over the sets."""
    head, lines = sets_cells(rows)
    cells = [
        [label, *("–" if i is None else f"{percent(i.mean)} [{percent(i.low)}, {percent(i.high)}]" for i in of_sets)]
        for label, of_sets in lines
    ]
    where, n = rows[0].generator, rows[0].n
    return markdown([f"accuracy (%), {place(where, n)}", *(name for name, _ in head)], cells) + (
        "\nWith 95 % bootstrap intervals over the problems; those of the mean over sets draw within each set.\n"
    )


def sets_cells(rows: Sequence[SetRow]) -> tuple[list[tuple[str, int]], list[tuple[str, list[Interval | None]]]]:
    """The columns, each with the number of its problems, and each chooser's interval, or None, in them."""
    sizes: dict[str, int] = {}
    lines: dict[str, dict[str, Interval]] = {}
    for row in rows:
        sizes[row.set] = max(sizes.get(row.set, 0), row.accuracy.n_problems)
        lines.setdefault(row.row, {})[row.set] = row.accuracy
    order = sorted(sizes, key=lambda name: name == AVERAGE)
    head = [("mean over sets" if name == AVERAGE else name, sizes[name]) for name in order]
    return head, [(label, [of_sets.get(name) for name in order]) for label, of_sets in lines.items()]


def table1_latex(table: Table1) -> str:
    """A booktabs table without intervals; its note says what the marks mean."""
    generators = list(dict.fromkeys(g for g, n in table.columns if n is not None))
    sizes = [n for g, n in table.columns if n is not None and g == generators[0]]
    heads = [rf"\multicolumn{{{len(sizes)}}}{{c}}{{{latex(g)}}}" for g in generators]
    rules = " ".join(
        rf"\cmidrule(lr){{{2 + i * len(sizes)}-{1 + (i + 1) * len(sizes)}}}" for i in range(len(generators))
    )
    subheads = ["avg" if n is None else f"@{n}" for _, n in table.columns]
    body = ""
    for i, row in enumerate(table.rows):
        # Rules without a reward model stand apart, before and after.
        if i and bool(row.chooser.reward_model) != bool(table.rows[i - 1].chooser.reward_model):
            body += "\\midrule\n"
        body += latex_row([latex(row.label), *_table1_cells(table, i, _LATEX, False)])
    has_oracle = any(row.chooser == ORACLE for row in table.rows)
    note = r"Accuracy (\%). Bold: best in its column" + (", the oracle aside." if has_oracle else ".")
    if table.tied:
        note += (
            r" $^\dagger$: cannot be told from it "
            r"(the 95\,\% bootstrap interval of the paired difference over problems reaches 0)."
        )
    if table.sets:
        note = f"{note} {latex(sets_note(table.sets))}"
    head = f" & {' & '.join(heads)} & \\\\\n{rules}\n" + latex_row(["", *subheads])
    return booktabs("l" + "r" * len(table.columns), head, body, note)


def _table1_cells(table: Table1, row: int, marks: _Marks, intervals: bool) -> list[str]:
    cells = []
    for column, cell in enumerate(table.rows[row].cells):
        if cell is None:
            cells.append(marks.none)
            continue
        text = percent(cell.mean)
        if table.is_best(row, column):
            text = marks.best.format(text)
        elif (row, column) in table.tied:
            text = marks.tied.format(text)
        if intervals and not math.isnan(cell.low):
            text += f" [{percent(cell.low)}, {percent(cell.high)}]"
        cells.append(text)
    return cells


# --- Tables 2 to 5 -------------------------------------------------------------------------------------


def ablation_cells(table: AblationTable, marks: _Marks = _PLAIN) -> tuple[list[str], list[list[str]]]:
    """The head and the rows as text, the best accuracy of each column marked where rows are compared."""
    means = [[_mean(value) for value in row.values] for row in table.rows]
    best = [percent(max(column)) if table.compares else None for column in zip(*means, strict=True)]
    rows = []
    for row in table.rows:
        cells = [marks.text(label) for label in row.labels]
        for value, best_of_column in zip(row.values, best, strict=True):
            text = marks.none if math.isnan(_mean(value)) else percent(_mean(value))
            text = marks.best.format(text) if text == best_of_column else text
            if isinstance(value, Interval):
                text += f" [{percent(value.low)}, {percent(value.high)}]"
            cells.append(text)
        if table.compares:
            cells.append(marks.text("–" if row.difference is None else difference(row.difference, with_holm=True)))
        rows.append(cells)
    head = [_HEADS.get(name, name) for name in (*table.labels, *table.values)]
    return [marks.text(name) for name in [*head, *(["difference"] if table.compares else [])]], rows


def ablation_markdown(table: AblationTable) -> str:
    """A pipe table and, below it, its note."""
    head, rows = ablation_cells(table, _MARKDOWN)
    return markdown(head, rows, len(table.labels)) + f"\n{table.note}\n"


def ablation_latex(table: AblationTable) -> str:
    """A booktabs table and its note."""
    head, rows = ablation_cells(table, _LATEX)
    alignment = "l" * len(table.labels) + "r" * (len(head) - len(table.labels))
    return booktabs(alignment, latex_row(head), "".join(map(latex_row, rows)), latex(table.note))


def _mean(value: Interval | float) -> float:
    return value.mean if isinstance(value, Interval) else value


# --- comparisons ---------------------------------------------------------------------------------------


def weighted_markdown(rows: Sequence[WeightedRow]) -> str:
    """A row per place and reward model."""
    header = ["generator", "reward model", "best-of-n", "weighted", "majority"]
    header += ["weighted − best-of-n", "weighted − majority"]
    lines = [
        [
            *(place(r.generator, r.n), r.reward_model),
            *(percent(accuracy) for accuracy in (r.best_of_n, r.weighted_best_of_n, r.majority)),
            *(difference(d) for d in (r.over_best_of_n, r.over_majority)),
        ]
        for r in rows
    ]
    return markdown(header, lines, 2)


def comparisons_markdown(rows: Sequence[RivalRow]) -> str:
    """A row per reward model, rival and n; a column per generator."""
    generators = list(dict.fromkeys(r.generator for r in rows))
    lines: dict[tuple[str, str, str], dict[str, str]] = {}
    for r in rows:
        key = (r.reward_model, r.against, "all" if r.n is None else str(r.n))
        lines.setdefault(key, {})[r.generator] = difference(r.difference, with_holm=True)
    cells = [[*key, *(by_generator.get(g, "–") for g in generators)] for key, by_generator in lines.items()]
    return markdown(["reward model", "against", "n", *generators], cells, 3) + (
        "\nDifference in points of accuracy, best-of-n minus its rival, with its paired 95 % interval and the p of an "
        "exact McNemar or sign-flip permutation test; in parentheses p after Holm's correction for the comparisons of "
        "that generator and n. n = all: mean over generators and the sizes n above 1.\n"
    )


def beside_markdown(rows: Sequence[BesideRow], index: Index) -> str:
    """A row per published number."""
    header = ["published", "here", "generator", "n", "ours", "95 % interval", "theirs", "difference"]
    lines = [
        [
            *(r.published, r.reward_model or "–", r.generator),
            "all" if r.n is None else str(r.n),
            percent(r.ours.mean),
            f"{percent(r.ours.low)} to {percent(r.ours.high)}",
            percent(r.theirs),
            signed_percent(r.difference),
        ]
        for r in rows
    ]
    return markdown(header, lines, 3) + (
        f"\nOurs beside those of {index.source}: accuracy in percent, the difference in points. The interval is that "
        "of ours, over problems; none was published.\n"
    )


# --- costs ---------------------------------------------------------------------------------------------


def cost_ratio_markdown(rows: Sequence[CostRatioRow]) -> str:
    """The breakdown as counted, and at the largest scale the ratio by steps and completions."""
    text = f"{LABELLED} against {YARDSTICK}, as counted: FLOPs and, in parentheses, their share of the total.\n\n"
    header = ["convention", "responses", "method", *DEVELOPMENT, "total", "ratio"]
    lines = []
    for r in (r for r in rows if r.counted):
        for method, flops, ratio in ((LABELLED, r.labelled, f"{r.ratio:.1f}"), (YARDSTICK, r.yardstick, "1")):
            parts = [_share_of_total(flops[item], flops["total"]) for item in DEVELOPMENT]
            total = f"{flops['total']:.2e}"
            lines.append([_CONVENTION[r.convention], str(r.responses), method, *parts, total, ratio])
    text += markdown(header, lines, 3)
    largest = max(r.responses for r in rows)
    for convention in dict.fromkeys(r.convention for r in rows):
        text += _ratio_grid([r for r in rows if (r.responses, r.convention) == (largest, convention)])
    return text


def _share_of_total(flops: float, total: float) -> str:
    return f"{flops:.2e} ({percent(flops / total, 0)} %)" if flops else "–"


def _ratio_grid(rows: Sequence[CostRatioRow]) -> str:
    """The ratio by steps and completions, of one scale in one convention."""
    counted = next(r for r in rows if r.counted)
    ratio = {(r.steps, r.completions): f"{r.ratio:.1f}" for r in rows}
    steps, completions = (sorted(set(values)) for values in zip(*ratio, strict=True))
    lines = [[f"{s:.3g}", *(ratio[s, k] for k in completions)] for s in steps]
    return (
        f"\nThe ratio with other steps per response (down) and completions per step (across), {counted.responses} "
        f"responses, {_CONVENTION[counted.convention]}; counted here: {counted.steps:.1f} steps, "
        f"{counted.completions} completions.\n\n"
    ) + markdown(["steps", *map(str, completions)], lines)


# --- the paper's findings ------------------------------------------------------------------------------


def findings_markdown(rows: Sequence[FindingRow]) -> str:
    """A pipe table of the claims, each finding with its verdict before its claims."""
    lines = []
    for finding, claims in by_finding(rows).items():
        lines.append([f"**{finding}**", claims[0].source, "", "", f"**{overall_verdict(claims)}**"])
        lines += [[claim.claim, "", finding_number(claim), str(claim.seeds), claim.verdict] for claim in claims]
    return markdown(["the paper's finding, and its claims here", "paper", "here", "seeds", "verdict"], lines) + (
        f"\n{FINDINGS_NOTE}\n"
    )


def finding_number(row: FindingRow) -> str:
    """A claim's difference in points with its interval, or its ratio."""
    if row.difference is None:
        return f"{row.ratio:.2g} x"
    d = row.difference
    return f"{signed_percent(d.mean)} [{signed_percent(d.low)}, {signed_percent(d.high)}]"


FINDINGS_NOTE = (
    "Differences of accuracy in points, mean over generators and the sizes n above 1, with 95 % intervals: over "
    "problems, and where there are several seeds over trainings too. A claim that something is above agrees where its "
    "interval lies above 0, and disagrees where it lies below 0. A claim that something is not above agrees where its "
    f"interval ends below {100 * MARGIN:g} point, and disagrees where it lies above 0. A finding agrees where all of "
    "its claims do, and disagrees where one does."
)
