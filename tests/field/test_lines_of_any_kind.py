"""Lines of any kind for ``score`` and ``benchmark``: each is scored or named, and what is wrong is one line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runs import Done, bonbench

texts = st.one_of(st.text(max_size=12), st.sampled_from(["Step 1: 2\n\nStep 2: 4", "\ufeff", "\r\n", "1 " * 400]))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=4,
)
solutions = st.fixed_dictionaries(
    {"problem": st.one_of(texts, values), "response": st.one_of(texts, values)},
    optional={"score": values, "unscored_because": values, "line": values, "error": values},
)
labelled = st.fixed_dictionaries(
    {
        "problem": st.one_of(texts, values),
        "steps": st.one_of(st.lists(texts, min_size=1, max_size=3), values),
        "label": st.one_of(st.integers(-1, 2), values),
        "step_rewards": st.one_of(st.lists(st.floats(-9, 9), max_size=3), values),
    }
)
endless = settings(derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def contents(rows: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[bytes]:
    """Files of such rows, and of other bytes in between."""
    lines = st.one_of(rows.map(lambda row: json.dumps(row).encode()), st.binary(max_size=9), values.map(_bytes))
    return st.lists(lines, max_size=5).map(b"\n".join)


def _bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


def is_clean(done: Done) -> bool:
    """Whether a verb ended well, or with bad lines, or in one line."""
    said = [line for line in done.err.splitlines() if line.startswith("bonbench: ")]
    return done.code == 0 or (done.code == 2 and (len(said) == 1 or "bad lines" in done.err + done.out))


@pytest.mark.thorough
@endless
@given(contents(solutions))
def test_solutions(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        source, output = Path(folder, "in.jsonl"), Path(folder, "out.jsonl")
        source.write_bytes(content)
        done = bonbench("score", source, "--reward-model", "length", "-o", output)
        assert is_clean(done), done
        if not output.exists():
            return
        rows = [json.loads(line) for line in output.read_text().splitlines()]
        assert len(rows) == sum(bool(line.strip()) for line in content.split(b"\n"))
        bad = [row for row in rows if row.keys() == {"line", "error"}]
        assert done.code == (2 if bad else 0)
        assert all(math.isfinite(row["score"]) for row in rows if row not in bad)
        assert {path.name for path in Path(folder).iterdir() if path.name.endswith(".tmp")} == set()


@pytest.mark.thorough
@endless
@given(contents(labelled))
def test_labelled_solutions(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        source = Path(folder, "in.jsonl")
        source.write_bytes(content)
        done = bonbench("benchmark", "processbench", source)
        assert is_clean(done), done
