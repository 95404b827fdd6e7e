"""The findings of the paper, and whether a run agrees with them.

Each finding of Yuan et al. (2025) is one or more claims about two accuracies, or about a ratio of costs. A claim about
accuracies is decided by the 95 % interval of the paired difference, averaged over generators and sizes as in Table 1's
last column. Claims come in two kinds. "a above b" holds where the interval lies above 0, and fails where it lies below
0. "a not above b" holds where the interval ends below ``MARGIN``, and fails where it lies above 0. Anything else cannot
be told. A claim about costs compares counted FLOPs, which have no interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, NamedTuple

import numpy as np
import pandas as pd

from harness.analysis.ablations import Changed, data_variations, reference_uses, scales, seeds
from harness.analysis.choosers import MAJORITY, PASS_AT_1, Chooser
from harness.analysis.cost_ratio import cost_ratio
from harness.analysis.evaluation import Evaluation
from harness.analysis.inference import Interval
from harness.analysis.policy_accuracy import policy_accuracy
from harness.analysis.rows import Columns
from harness.analysis.seeds import BySeed, intervals
from harness.core.arrays import Floats

Verdict = Literal["agrees", "disagrees", "cannot tell"]
Kind = Literal["above", "not above"]
#: A gain of up to one point counts as none, where the paper says that something does not help.
MARGIN = 0.01


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One claim of a finding, and what this run says of it.

    ``difference`` is that of the two accuracies that the claim names; ``ratio`` that of two costs. ``seeds`` trainings
    with different seeds were averaged.
    """

    finding: str
    source: str
    claim: str
    difference: Annotated[Interval | None, Columns()]
    ratio: float | None
    seeds: int
    verdict: Verdict


def findings(evaluation: Evaluation) -> list[FindingRow]:
    """The claims that this run has the entries for, in the paper's order."""
    evidence = _Evidence(evaluation)
    return [row for finding in _FINDINGS for row in finding.rows(evidence)]


def by_finding(rows: Iterable[FindingRow]) -> dict[str, list[FindingRow]]:
    """Finding → its claims."""
    claims: dict[str, list[FindingRow]] = {}
    for row in rows:
        claims.setdefault(row.finding, []).append(row)
    return claims


def overall_verdict(claims: Iterable[FindingRow]) -> Verdict:
    """agrees where all claims of a finding do, disagrees where one does, else cannot tell."""
    verdicts = [claim.verdict for claim in claims]
    if "disagrees" in verdicts:
        return "disagrees"
    return "agrees" if all(verdict == "agrees" for verdict in verdicts) else "cannot tell"


def verdict(difference: Interval, kind: Kind) -> Verdict:
    """What an interval says of a claim (see the module)."""
    if kind == "above":
        if difference.low > 0:
            return "agrees"
        return "disagrees" if difference.high < 0 else "cannot tell"
    if difference.low > 0:
        return "disagrees"
    return "agrees" if difference.high < MARGIN else "cannot tell"


class _Claim(NamedTuple):
    """(a, kind, b) in words, with a - b per seed and problem."""

    words: str
    kind: Kind
    contrast: BySeed


class _Side(NamedTuple):
    """What a claim compares: a name, and seed → accuracy per problem, float [P]. What was not trained has no seed."""

    name: str
    by_seed: Mapping[int | None, Floats]


class _Evidence:
    """What the claims are about, looked up in the facts about a run; None where the run does not have it."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation

    @cached_property
    def _seeds(self) -> Mapping[str, Mapping[int, str]]:
        return seeds(self.evaluation)

    @cached_property
    def variations(self) -> list[tuple[str, str, Changed]]:
        """(base, other, what the training of the other changes)."""
        bases = data_variations(self.evaluation)
        return [(base, v.reward_model, v.kind) for base, variations in bases.items() for v in variations]

    def baseline(self, chooser: Chooser, name: str) -> _Side | None:
        return self._side(name, {None: chooser})

    def generator(self, name: str) -> _Side | None:
        """A random response of a generator."""
        accuracies = self.evaluation.accuracies
        values = accuracies.values(name, PASS_AT_1, 1) if name in accuracies.generators else None
        return None if values is None else _Side(name, {None: values})

    def policy(self, name: str, label: str) -> _Side | None:
        """A random response of a policy."""
        grades, problem_ids = self._policy_grades, self.evaluation.accuracies.problem_ids
        if name not in set(grades["generator"]):
            return None
        return _Side(label, {None: policy_accuracy(self.evaluation.results, name, grades, problem_ids)})

    @cached_property
    def _policy_grades(self) -> pd.DataFrame:
        return self.evaluation.results.policy_grades()

    def method(self, name: str, *, weighted: bool = False, n: int | None = None) -> _Side | None:
        """The reward models of a method on most data, one per seed; averaged, or at one ``n``."""
        entry = next((t.reward_model for t in self.evaluation.headline if t.method == name), None)
        if entry is None:
            return None
        label = name + (", weighted voting" if weighted else "") + (f" @{n}" if n else "")
        return self.entry(entry, label, weighted=weighted, n=n)

    def trained_alike(self, entry: str) -> frozenset[str]:
        """A reward model, and its like with other seeds."""
        return frozenset(self._seeds.get(entry, {0: entry}).values())

    def entry(self, entry: str, name: str = "", *, weighted: bool = False, n: int | None = None) -> _Side | None:
        """What :meth:`trained_alike` has, as a side of a claim."""
        trained = self._seeds.get(entry)
        siblings: Mapping[int | None, str] = {None: entry} if trained is None else dict(trained.items())
        choosers = {
            seed: chooser.weighted if weighted else chooser
            for seed, sibling in siblings.items()
            if (chooser := self.evaluation.first_choosers.get(sibling)) is not None
        }
        return self._side(name or entry, choosers, n)

    def _side(self, name: str, choosers: Mapping[int | None, Chooser], n: int | None = None) -> _Side | None:
        accuracies = self.evaluation.accuracies
        by_seed: dict[int | None, Floats] = {}
        for seed, chooser in choosers.items():
            values = accuracies.overall(chooser) if n is None else accuracies.values(accuracies.whole, chooser, n)
            if values is not None:
                by_seed[seed] = values
        return _Side(name, by_seed) if by_seed else None


class _Cost(NamedTuple):
    """That a ratio of costs is at least ``least``."""

    words: str
    ratio: float
    least: float


class _Finding(NamedTuple):
    """What the paper says, where, and the claims it makes of a run."""

    says: str
    source: str
    claims: Callable[[_Evidence], Iterator[_Claim | _Cost]]

    def rows(self, evidence: _Evidence) -> Iterator[FindingRow]:
        bootstrap = evidence.evaluation.accuracies.bootstrap
        for claim in self.claims(evidence):
            if isinstance(claim, _Cost):
                reached: Verdict = "agrees" if claim.ratio >= claim.least else "disagrees"
                yield FindingRow(self.says, self.source, claim.words, None, claim.ratio, 1, reached)
                continue
            (difference,) = intervals(bootstrap, [claim.contrast])
            decided = verdict(difference, claim.kind)
            yield FindingRow(self.says, self.source, claim.words, difference, None, claim.contrast.n_seeds, decided)


def _compared(a: _Side | None, kind: Kind, b: _Side | None) -> Iterator[_Claim]:
    """The claim that ``a`` is (not) above ``b``, seed by seed where both were trained; none where one is missing."""
    if a is None or b is None:
        return
    shared = sorted(seed for seed in a.by_seed if seed in b.by_seed and seed is not None)
    if shared:
        values = [a.by_seed[seed] - b.by_seed[seed] for seed in shared]
    else:
        one, other = list(a.by_seed.values()), list(b.by_seed.values())
        if len(one) > 1 and len(other) > 1:  # the two have no seed in common
            one, other = one[:1], other[:1]
        values = [x - y for x in one for y in other]
    contrast = BySeed(np.array(values), tuple(shared))
    if np.isfinite(contrast.mean).any():
        yield _Claim(f"{a.name} {kind} {b.name}", kind, contrast)


_BASELINES = ("ORM", "ORM, Bradley-Terry", "Math-Shepherd", "AutoPSV")
_IMPLICIT = ("DPO", "KTO", "NCA", "CE")


def _above_chance(of: _Evidence) -> Iterator[_Claim]:
    for name in _BASELINES:
        yield from _compared(of.method(name), "above", of.baseline(PASS_AT_1, "pass@1"))


def _above_baselines(of: _Evidence) -> Iterator[_Claim]:
    for name in ("DPO", "CE"):
        for baseline in _BASELINES:
            yield from _compared(of.method(name), "above", of.method(baseline))


def _dpo_first(of: _Evidence) -> Iterator[_Claim]:
    for name in _IMPLICIT[1:]:
        yield from _compared(of.method("DPO"), "above", of.method(name))


def _rises(of: _Evidence) -> Iterator[_Claim]:
    sizes = [n for n in of.evaluation.accuracies.headline_n if n > 1]
    for name in ("DPO", "CE"):
        if len(sizes) > 1:
            yield from _compared(of.method(name, n=sizes[-1]), "above", of.method(name, n=sizes[0]))


def _voting(of: _Evidence) -> Iterator[_Claim]:
    for name in _IMPLICIT:
        yield from _compared(of.method(name, weighted=True), "above", of.method(name))
    for name in ("KTO", "NCA", "DPO"):
        yield from _compared(of.method("CE", weighted=True), "above", of.method(name, weighted=True))
    yield from _compared(of.method("CE", weighted=True), "above", of.baseline(MAJORITY, "majority"))


def _responses_over_instructions(of: _Evidence) -> Iterator[_Claim]:
    """The entry on a share of the instructions against the entry on as large a share of the responses."""
    by_responses, by_instructions = scales(of.evaluation, "responses"), scales(of.evaluation, "instructions")
    trainings = of.evaluation.trainings
    for method in by_responses:
        whole = trainings[by_responses[method][-1]].data
        for few in by_responses[method][:-1]:
            for fewer in by_instructions.get(method, [])[:-1]:
                one, other = trainings[few].data, trainings[fewer].data
                assert whole is not None and one is not None and other is not None  # scales has trained ones only
                if abs(one.responses / whole.responses - other.instructions / whole.instructions) < 1e-9:
                    yield from _compared(of.entry(fewer), "above", of.entry(few))


def _changed(kind: Changed, claim: Kind, base_first: bool = False) -> Callable[[_Evidence], Iterator[_Claim]]:
    """The claim about the trainings that change ``kind``: base against other, or other against base."""

    def claims(of: _Evidence) -> Iterator[_Claim]:
        seen = set()
        for base, other, changed in of.variations:
            trained = of.trained_alike(base), of.trained_alike(other)
            if changed == kind and trained not in seen:
                seen.add(trained)
                first, second = (base, other) if base_first else (other, base)
                yield from _compared(of.entry(first), claim, of.entry(second))

    return claims


def _as_policies(of: _Evidence) -> Iterator[_Claim]:
    for policy, facts in of.evaluation.results.manifest.policies.items():
        training = of.evaluation.trainings.get(facts.trained_by or "")
        train = of.evaluation.results.manifest.reward_models[training.reward_model].train if training else None
        if training is None or train is None:
            continue
        kind: Kind = "not above" if training.training_method == "KTO" else "above"
        as_policy = of.policy(policy, f"{training.training_method} as a policy")
        yield from _compared(of.generator(str(train["base"])), kind, as_policy)


def _scoring_cost(of: _Evidence) -> Iterator[_Cost]:
    """Scoring with two passes against scoring with a model of its own, in one pass."""
    costs, models = of.evaluation.costs, of.evaluation.results.manifest.reward_models
    scoring = costs[costs["item"] == "scoring"].set_index("reward_model")["flops"]
    trained = [t for t in of.evaluation.headline if t.trained and t.reward_model in scoring.index]
    two = next((t for t in trained if "reference" in models[t.reward_model].token_passes), None)
    alone = (t for t in trained if not (models[t.reward_model].token_passes or models[t.reward_model].verifications))
    one = next(alone, None)
    if two is not None and one is not None and scoring[one.reward_model]:
        words = f"scoring by {two.method} takes at least 1.5 times the FLOPs of scoring by {one.method}"
        yield _Cost(words, float(scoring[two.reward_model] / scoring[one.reward_model]), 1.5)


def _reference(of: _Evidence) -> Iterator[_Claim]:
    for use in reference_uses(of.evaluation):
        cells = {key: of.entry(name) for key, name in use.cells.items()}
        yield from _compared(cells[True, True], "not above", cells[True, False])
        yield from _compared(cells[True, True], "not above", cells[False, False])
        if use.untrained is not None:
            yield from _compared(cells[True, True], "above", of.entry(use.untrained))


def _cost_ratio(of: _Evidence) -> Iterator[_Cost]:
    rows = [row for row in cost_ratio(of.evaluation) if row.counted and row.convention == "flops"]
    if rows:
        row = rows[-1]
        words = f"Math-Shepherd takes at least 10 times CE's FLOPs to develop ({row.responses} responses per problem)"
        yield _Cost(words, row.ratio, 10.0)


_FINDINGS = (
    _Finding("Reward models choose better than chance", "Table 1", _above_chance),
    _Finding("Implicit PRMs are better than Math-Shepherd, AutoPSV and an ORM", "Table 1", _above_baselines),
    _Finding("DPO is the best of the implicit PRMs", "Table 1", _dpo_first),
    _Finding("Accuracy rises with n", "Table 1", _rises),
    _Finding("Voting with the scores is better than the best score, and best with CE", "Figure 3", _voting),
    _Finding("More responses are worth more than more instructions", "Figures 4 and 5", _responses_over_instructions),
    _Finding(
        "Instructions that have nothing to do with the test do not help", "Table 2", _changed("problems", "not above")
    ),
    _Finding("De-duplicated responses are worse", "Table 2", _changed("dedup", "above", base_first=True)),
    _Finding("Rollouts of another model do not help", "Table 2", _changed("rollouts", "not above")),
    _Finding("Step labels do not help", "Table 2", _changed("stage", "not above")),
    _Finding("A better reward model is no better policy", "Table 3", _as_policies),
    _Finding("Scoring with a reference model costs about twice as much", "Table 4", _scoring_cost),
    _Finding("The reference model can be left out in scoring, and in training", "Table 5", _reference),
    _Finding("Math-Shepherd's labels cost many times what CE's training does", "Figure 2", _cost_ratio),
)
