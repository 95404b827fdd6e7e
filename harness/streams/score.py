"""``bonbench score``: a file of solutions in, the same rows with a reward model's scores out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from harness.data.lines import Row
from harness.streams.scorer import Scorer
from harness.streams.transform import Transformed, silent, transform

#: Rows scored together: enough to share prompts, few enough that progress shows and a kill loses little.
BATCH = 128


def score_file(source: Path, output: Path, scorer: Scorer, progress: Callable[[int], None] = silent) -> Transformed:
    """Score a file of solutions; :func:`harness.streams.transform.transform` says how files are read and written.

    A row has ``problem`` and ``response``, and may have other columns. The row is written with ``step_rewards``,
    ``step_ends`` and ``score`` added. ``step_ends`` are character offsets into the response; they are null for a model
    whose steps are not spans of the response.

    Raises:
        UserError: for a file that cannot be read or written, or that has no good line.
    """
    work = partial(_scored, scorer)
    return transform(source, output, key=scorer.key, check=_complaint, work=work, batch=BATCH, progress=progress)


def _scored(scorer: Scorer, rows: Sequence[Row]) -> list[Row]:
    scores = scorer.score([(row["problem"], row["response"]) for row in rows])
    return [
        {**row, "step_rewards": s.step_rewards, "step_ends": s.step_ends, "score": scorer.total(s)}
        for row, s in zip(rows, scores, strict=True)
    ]


def _complaint(row: Row) -> str:
    missing = [f'"{name}"' for name in ("problem", "response") if not isinstance(row.get(name), str)]
    return f"no {' and no '.join(missing)}" if missing else ""
