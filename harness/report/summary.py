"""What the results say, in sentences; every figure in them is computed here."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.analysis.accuracy import Accuracies
from harness.analysis.benchmarks import Beside
from harness.analysis.choosers import MAJORITY, ORACLE, PASS_AT_1, Chooser
from harness.analysis.evaluation import Evaluation
from harness.analysis.inference import Difference
from harness.analysis.overoptimisation import PeakRow
from harness.analysis.rule_table import RuleRow, rule_table
from harness.analysis.smaller_generator import SmallerRow, best_of_pairs
from harness.analysis.unscored import LeftOutRow, UnansweredRow, UnscoredRow, rules_left_out
from harness.analysis.verdicts import VerdictsRow
from harness.report.table_texts import sets_note
from harness.report.text import p_value, percent, signed_percent

_MOST_NAMED = 3


def best_chooser(evaluation: Evaluation) -> Chooser | None:
    """The best-of-n chooser with the highest mean over generators and sizes; None where no reward model has scores."""
    accuracies = evaluation.accuracies
    means = []
    for chooser, label in evaluation.methods.items():
        values = accuracies.overall(chooser)
        if values is not None:
            means.append((accuracies.interval(values).mean, label, chooser))
    return max(means)[2] if means else None


def summary(evaluation: Evaluation, best: Chooser | None) -> list[str]:
    """A sentence or a few per paragraph; ``best`` is :func:`best_chooser`'s."""
    accuracies, trainings = evaluation.accuracies, evaluation.trainings
    sizes = [n for n in accuracies.headline_n if n > 1] or [1]
    over = f"n = {sizes[0]}" if len(sizes) == 1 else f"n = {', '.join(map(str, sizes[:-1]))} and {sizes[-1]}"
    where = "Averaged over"
    if accuracies.averaged:
        where = f"Averaged over {len(accuracies.generators)} generators and"
    elif len(accuracies.generators) > 1:
        # They share no problem, so there is no average over them.
        where = f"With the responses of {accuracies.generators[0]}, averaged over"
    floor, votes, top = (accuracies.overall(m) for m in (PASS_AT_1, MAJORITY, ORACLE))
    assert floor is not None and votes is not None and top is not None
    shares = [f"{percent(accuracies.interval(v).mean)} %" for v in (floor, votes, top)]
    lines = [
        f"{where} {over}, a response drawn at random is right in {shares[0]} of the cases (pass@1), the majority's "
        f"answer in {shares[1]}, and a perfect choice would be in {shares[2]} (pass@n)."
    ]
    if len(accuracies.sets) > 1:
        lines.append(sets_note([one.name for one in accuracies.sets]))
    lines += evaluation.results.manifest.notes
    lines += unanswered_lines(evaluation.unanswered)
    lines += unscored_lines(evaluation.unscored)
    lines += verdict_lines(evaluation.verdicts)
    lines += left_out_lines(evaluation.left_out)
    lines += rules_left_out_lines(evaluation.accuracies)
    lines += falling_lines(evaluation.peaks)
    lines += benchmark_lines(evaluation.benchmarks, accuracies.whole)
    lines += smaller_lines(evaluation.smaller_generators)
    if best is None:
        return lines
    values = accuracies.overall_by_seed(best)
    assert values is not None
    interval = accuracies.interval(values)
    text = (
        f"The best reward model by this average is {evaluation.methods[best]}: {percent(interval.mean)} % "
        f"(95 % interval {percent(interval.low)} to {percent(interval.high)})."
    )
    rivals = [("pass@1", PASS_AT_1), ("majority vote", MAJORITY)]
    if trainings[evaluation.entry(best)].trained:
        rivals += [(label, c) for c, label in evaluation.methods.items() if not trainings[evaluation.entry(c)].trained]
    for name, rival in rivals:
        theirs = accuracies.overall_by_seed(rival)
        if theirs is not None:
            text += f" {_against(accuracies.difference(values, theirs), name)}"
    lines.append(text)
    if len(evaluation.results.variants()) > 1:
        lines.append("It is the best of several on these problems, which flatters its lead over the others.")
    return lines + rule_lines(rule_table(evaluation))


def unanswered_lines(rows: Sequence[UnansweredRow]) -> list[str]:
    """A sentence on the problems without responses; none where every problem has them."""
    counts = [
        f"{row.generator} has no responses to {row.unanswered} of the {row.n_problems} problems ({row.reasons})"
        for row in rows
        if row.unanswered
    ]
    return [f"{'; '.join(counts)}. Whoever chooses is wrong on a problem without responses."] if counts else []


def unscored_lines(rows: Sequence[UnscoredRow]) -> list[str]:
    """A sentence on the responses without a score; none where every response has one."""
    shares = [
        f"{row.reward_model} has no score for {percent(row.share, 2)} % of the responses of {row.generator}"
        for row in rows
        if row.unscored
    ]
    return [f"{'; '.join(shares)}. A response without a score ranks below every other."] if shares else []


def verdict_lines(rows: Sequence[VerdictsRow]) -> list[str]:
    """A sentence on the replies without a verdict; none where every reply has one."""
    shares = [
        f"{percent(row.share, 2)} % of the replies of {row.reward_model} about responses of {row.generator}"
        for row in rows
        if row.share
    ]
    return (
        [f"No verdict can be read in {'; in '.join(shares)}. Scores are means over the other replies."]
        if shares
        else []
    )


def left_out_lines(rows: Sequence[LeftOutRow]) -> list[str]:
    """A sentence on each reward model that is in no table."""
    return [f"{row.reward_model} is left out: {row.why}." for row in rows]


def rules_left_out_lines(accuracies: Accuracies) -> list[str]:
    """A sentence on each selection rule that was asked for and is in no table."""
    return [f"The selection rule {row.rule} is left out: {row.why}." for row in rules_left_out(accuracies)]


def rule_lines(rows: Sequence[RuleRow]) -> list[str]:
    """A sentence on the rule beside the usual ones that gains most over best-of-n; none without such rules."""
    overall = [row for row in rows if row.n is None]
    if not overall:
        return []
    most = max(overall, key=lambda row: row.over_best_of_n.mean)
    rules = len({row.rule for row in overall})
    d = most.over_best_of_n
    return [
        f"Of {rules} further selection {'rules' if rules > 1 else 'rule'}, {most.rule} with {most.reward_model} gains "
        f"most over best-of-n with the same scores: {signed_percent(d.mean)} points ({signed_percent(d.low)} to "
        f"{signed_percent(d.high)}), to {percent(most.accuracy)} % (p {p_value(d.p_holm)}, corrected for "
        f"{len(overall)} {'comparisons' if len(overall) > 1 else 'comparison'})."
    ]


def falling_lines(rows: Sequence[PeakRow]) -> list[str]:
    """A sentence on the reward models that choose worse among more responses; none where none does."""
    falling = sorted((row for row in rows if row.falls), key=lambda row: row.change.mean)
    if not falling:
        return []
    named = "; ".join(
        f"{row.reward_model} falls from n = {row.peak_n} on with the responses of {row.generator}, from "
        f"{percent(row.peak)} % to {percent(row.last)} % at n = {row.n} (p {p_value(row.change.p_holm)})"
        for row in falling[:_MOST_NAMED]
    )
    others = len(falling) - _MOST_NAMED
    more = f"; {others} more {'fall' if others > 1 else 'falls'}" if others > 0 else ""
    return [f"More responses can make the choice worse: {named}{more}. (Of {len(rows)} curves.)"]


def benchmark_lines(beside: Beside, generator: str) -> list[str]:
    """A sentence on how far benchmarks order the reward models as best-of-N does with the responses of a generator, or
    on average; and one on numbers that are out of date. None without benchmarks."""
    said = [
        f"{row.number} of {row.benchmark} {row.spearman:.2f} ({row.spearman_low:.2f} to {row.spearman_high:.2f}, "
        f"p {p_value(row.spearman_p)}, {row.n_models} reward models, n = {row.n})"
        for row in beside.agreement
        if row.generator == generator and not math.isnan(row.spearman)
    ]
    lines = [f"Rank correlation of benchmarks with best-of-n accuracy: {'; '.join(said)}."] if said else []
    if beside.outdated:
        names = ", ".join(f"{name} ({benchmark})" for benchmark, name in beside.outdated)
        lines.append(
            f"Left out are benchmark numbers of reward models that were scored anew since: {names}. "
            "`bonbench benchmark NAME FILE --results RESULTS` brings them up to date."
        )
    return lines


def smaller_lines(rows: Sequence[SmallerRow]) -> list[str]:
    """A sentence on each pair of generators: the smaller one with its best choice, against the larger one alone."""
    pairs = best_of_pairs(rows)
    lines = [
        f"{row.smaller} with {row.n} responses, chosen by {row.reward_model or 'majority vote'}, is right in "
        f"{percent(row.accuracy)} % of the cases, one response of {row.larger} in {percent(row.larger_accuracy)} %: "
        f"{signed_percent(row.difference.mean)} points ({signed_percent(row.difference.low)} to "
        f"{signed_percent(row.difference.high)}) for {row.ratio:.3g} times the FLOPs; {_as_good(row)}."
        for row in pairs[:_MOST_NAMED]
    ]
    others = len(pairs) - _MOST_NAMED
    more = f" {others} more pair{'s' if others > 1 else ''} of generators: tables/smaller_generators.csv."
    flattered = " Each choice is the best of several on these problems, which flatters it."
    return [" ".join(lines) + (more if others > 0 else "") + flattered] if lines else []


def _as_good(row: SmallerRow) -> str:
    """From which n on a choice is right at least as often as the larger generator, with its range."""
    low, high = (f"n = {n}" if n else f"above {row.n}" for n in (row.as_good_low, row.as_good_high))
    bounds = low if low == high else f"{low} to {high.removeprefix('n = ')}"
    if row.as_good_n is None:
        return f"it is as good at no n here (95 % of the draws: {bounds})"
    return f"it is as good at n = {row.as_good_n} (95 % of the draws: {bounds})"


def _against(d: Difference, name: str) -> str:
    change = f"{percent(abs(d.mean))} points {'above' if d.mean >= 0 else 'below'} {name}"
    verdict = "" if d.low > 0 or d.high < 0 else ", a difference that may be chance"
    bounds = f"{signed_percent(d.low)} to {signed_percent(d.high)}"
    return f"It is {change} ({bounds}, p {p_value(d.p_permutation)}){verdict}."
