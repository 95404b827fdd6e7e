"""``bonbench score``: a file of solutions in, the same rows with a reward model's scores out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.data.lines import Row
from harness.streams.scorer import Scored, Scorer
from harness.streams.transform import Transformed, silent, transform

#: Rows scored together: enough to share prompts, few enough that progress shows and a kill loses little.
BATCH = 128


_REASON = "unscored_because"
_UNREAD = "replies_without_verdict"


@dataclass(frozen=True)
class ScoreSummary:
    """What became of the lines."""

    file: Transformed

    @property
    def unscored(self) -> Counter[str]:
        """How many responses have no score, by reason."""
        reasons: Counter[str] = Counter()
        for (reason, _), count in self.file.counts.items():
            if reason is not None:
                reasons[reason] += count
        return reasons

    @property
    def unread(self) -> int:
        """How many replies of a judge have no verdict that can be read; those about equal responses count for each."""
        return sum((unread or 0) * count for (_, unread), count in self.file.counts.items())

    def __str__(self) -> str:
        reasons = "".join(f", {count} without a score: {reason}" for reason, count in self.unscored.items())
        unread = f", no verdict can be read in {self.unread} replies" if self.unread else ""
        return f"{self.file.good} scored{reasons}{unread}{self.file.complaint()}"


def score_file(source: Path, output: Path, scorer: Scorer, progress: Callable[[int], None] = silent) -> ScoreSummary:
    """Score a file of solutions; :func:`harness.streams.transform.transform` says how files are read and written.

    A row has ``problem`` and ``response``, and may have other columns. The row is written with ``step_rewards``,
    ``step_ends`` and ``score`` added. ``step_ends`` are character offsets into the response; they are null for a model
    whose steps are not spans of the response, and of one that reads a part of it they are those of the part's steps.
    Where the model gives no score, ``step_rewards`` is empty, ``score`` is
    null, and ``unscored_because`` says why. Such a line counts as bad. With a judge, ``replies_without_verdict`` is how
    many of its replies have no verdict that can be read.

    Raises:
        UserError: for a file that cannot be read or written, or that has no good line.
    """
    done = transform(
        source,
        output,
        key=scorer.key,
        check=_complaint,
        work=partial(_scored, scorer),
        batch=BATCH,
        counted=(_REASON, _UNREAD),
        complain=lambda row: row.get(_REASON) or "",
        is_costly=True,
        progress=progress,
    )
    return ScoreSummary(done)


def _scored(scorer: Scorer, rows: Sequence[Row]) -> list[Row]:
    scores = scorer.score([(row["problem"], row["response"]) for row in rows])
    return [_with_score(scorer, row, score) for row, score in zip(rows, scores, strict=True)]


def _with_score(scorer: Scorer, row: Row, scored: Scored) -> Row:
    scores, total = scored.scores, scorer.total(scored.scores)
    # An earlier scoring may have said them.
    told = {name: value for name, value in row.items() if name not in (_REASON, _UNREAD)}
    new = {**told, "step_rewards": scores.step_rewards, "step_ends": scores.step_ends, "score": total}
    if scored.verdicts:
        new[_UNREAD] = scored.verdicts.get("unreadable", 0) + scored.verdicts.get("cut off", 0)
    return new if total is not None else {**new, _REASON: scored.unscored_because}


def _complaint(row: Row) -> str:
    missing = [f'"{name}"' for name in ("problem", "response") if not isinstance(row.get(name), str)]
    return f"no {' and no '.join(missing)}" if missing else ""
