"""The questions that one comparison puts to the symbolic oracle."""

from __future__ import annotations

from bonbench.verifiers.equivalence.verdict import DIFFERENT, SAME, Means, Verdict
from bonbench.verifiers.oracle.isolated import FAILURES, Leaf, Oracle


class Questions:
    """Asks no question twice, and none after a question that exceeded its limits.

    So a comparison costs one failure at most.
    """

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        self._answers: dict[str, Verdict] = {}
        self._failed: Verdict | None = None

    def ask(self, a: Leaf, b: Leaf, whole: bool = False) -> Verdict:
        """Whether two leaves are shown to be equal; ``whole``: their symbols are whole numbers."""
        if a == b:
            return SAME
        key = repr((a, b, whole))
        if key not in self._answers:
            self._answers[key] = self._failed or self._asked(a, b, whole)
        return self._answers[key]

    def _asked(self, a: Leaf, b: Leaf, whole: bool) -> Verdict:
        equal, reason = self._oracle(a, b, whole)
        if reason in FAILURES:
            self._failed = Verdict(False, failure=reason)
            return self._failed
        return Verdict(True, Means.SYMBOLIC) if equal else DIFFERENT
