"""What the results say, in sentences; every figure in them is computed here."""

from __future__ import annotations

from harness.analysis import headline_tables as tables
from harness.analysis.accuracy import MAJORITY, ORACLE, PASS_AT_1, Accuracies, Method
from harness.analysis.inference import Difference
from harness.analysis.trainings import instances
from harness.report import text as rendering
from harness.storage.results import Results


def best_reward_model(results: Results, accuracies: Accuracies) -> tuple[str, Method] | None:
    """(label, method) of the reward model with the highest mean over generators and sizes."""
    found = []
    for label, method in tables.labelled_methods(results, accuracies):
        values = accuracies.overall(method)
        if values is not None:
            found.append((accuracies.interval(values).mean, label, method))
    return max(found)[1:] if found else None


def summary(results: Results, accuracies: Accuracies, best: tuple[str, Method] | None) -> list[str]:
    """A sentence or a few per paragraph; ``best`` is :func:`best_reward_model`'s."""
    sizes = [n for n in accuracies.headline_n if n > 1] or [1]
    over = f"n = {sizes[0]}" if len(sizes) == 1 else f"n = {', '.join(map(str, sizes[:-1]))} and {sizes[-1]}"
    where = f"Averaged over {len(accuracies.generators)} generators and" if accuracies.averaged else "Averaged over"
    floor, votes, top = (accuracies.overall(m) for m in (PASS_AT_1, MAJORITY, ORACLE))
    assert floor is not None and votes is not None and top is not None
    percent = [f"{100 * accuracies.interval(v).mean:.1f} %" for v in (floor, votes, top)]
    lines = [
        f"{where} {over}, a response drawn at random is right in {percent[0]} of the cases (pass@1), the majority's "
        f"answer in {percent[1]}, and a perfect choice would be in {percent[2]} (pass@n)."
    ]
    if best is None:
        return lines
    values = accuracies.overall(best[1])
    assert values is not None
    interval = accuracies.interval(values)
    text = (
        f"The best reward model by this average is {best[0]}: {100 * interval.mean:.1f} % "
        f"(95 % interval {100 * interval.low:.1f} to {100 * interval.high:.1f})."
    )
    found = instances(results)
    rivals = [("pass@1", PASS_AT_1), ("majority vote", MAJORITY)]
    if found[best[1].reward_model].trained:
        labelled = tables.labelled_methods(results, accuracies)
        rivals += [(label, m) for label, m in labelled if not found[m.reward_model].trained]
    for name, method in rivals:
        theirs = accuracies.overall(method)
        if theirs is not None:
            text += f" {_against(accuracies.difference(values, theirs), name)}"
    lines.append(text)
    if len(results.variants()) > 1:
        lines.append("It is the best of several on these problems, which flatters its lead over the others.")
    return lines


def _against(d: Difference, name: str) -> str:
    change = f"{abs(100 * d.mean):.1f} points {'above' if d.mean >= 0 else 'below'} {name}"
    verdict = "" if d.low > 0 or d.high < 0 else ", a difference that may be chance"
    bounds = f"{rendering.signed(100 * d.low)} to {rendering.signed(100 * d.high)}"
    return f"It is {change} ({bounds}, p {rendering.p_value(d.p_permutation)}){verdict}."
