"""YAML that a plain reader takes for something else than its author means, without a word.

A key that stands twice counts with its last value (yaml/pyyaml#165): half of an edited experiment is not run. Numbers
with a leading zero are octal, times of day are numbers, dates are no texts. Anchors of anchors fill the memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from runs import bonbench

from harness.core.errors import UserError
from harness.data.documents import parse_yaml

LAUGHS = "a: &a [x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdef", "bcdefg", strict=True)
)

REFUSED = {
    "a key twice": ("sampling: {n: 1}\nseed: 1\nsampling: {n: 2}", "line 3: not YAML: the key 'sampling' is in line 1"),
    "a key twice in one line": ("{n: 1, n: 2}", "the key 'n' is in line 1 already"),
    "anchors of anchors": (LAUGHS, "line 6: not YAML: its anchors stand for more than 100,000 values"),
    "an anchor in itself": ("a: &a [*a]", "an anchor contains itself"),
    "nesting": ("[" * 1000, "nested too deeply"),
    "some nesting": ("[" * 80 + "]" * 80, "nested too deeply"),
    "a set": ("a: !!set {b}", "is not a text, number, list or mapping"),
    "a truth value as a key": ("no: 1", "the key False is not a text: write it in quotes"),
    "keys of two kinds": ("{1: a, b: c}", "the key 1 is not a text"),
    "half a character": (r'"\ud83d"', "half"),
    "not a number": ("a: .nan", ".nan is no value"),
    "no such number": ("!!int ''", "not what its tag says"),
    "no such date": ("!!timestamp x", "not what its tag says"),
    "an object of Python": ("!!python/object:os.system x", "could not determine a constructor"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_nobody_means_is_refused(case: str) -> None:
    text, complaint = REFUSED[case]
    with pytest.raises(UserError) as raised:
        parse_yaml(text, "e.yaml")
    assert complaint in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", "010"),
        ("1:30", "1:30"),
        ("1:30.5", "1:30.5"),
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01 10:00:00", "2024-01-01 10:00:00"),
        ("=", "="),
        (r'"\ud83d\ude00"', "😀"),
        # and what has always been read so
        ("[0, -7, 1_000, 0x1F, 0b11]", [0, -7, 1000, 31, 3]),
        ("[1.5, -.inf, 1e-6]", [1.5, float("-inf"), "1e-6"]),
        ("[no, true, null]", [False, True, None]),
        ("{50256: -100, 3: 1}", {50256: -100, 3: 1}),
        ("{base: &b {x: 1, y: 2}, z: {<<: *b, x: 3}}", {"base": {"x": 1, "y": 2}, "z": {"x": 3, "y": 2}}),
    ],
)
def test_what_is_read(text: str, value: Any) -> None:
    assert parse_yaml(text, "") == value


def test_an_experiment_with_a_key_twice_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text("name: a\nseed: 1\nname: b\n")
    done = bonbench("plan", tmp_path / "e.yaml")
    assert done.code == 2 and done.err.count("\n") == 1 and "line 3: not YAML: the key 'name'" in done.err


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("reward_models={a: {type: length, aggregation: []}}", "reward_models.a: aggregation: an empty list"),
        (
            "reward_models={a: {type: implicit, b: [1, 2], train: {c: [" + ", ".join(map(str, range(600))) + "]}}}",
            "1,200",
        ),
        ("seed=-1", "seed: input should be greater"),
        ("sampling.temperature=.inf", "sampling.temperature"),
        ("evaluation.bootstrap=10000000000", "evaluation.bootstrap"),
        ("sampling.n=1000000000000", "sampling.n"),
    ],
)
def test_what_would_fail_after_hours_is_refused_at_once(change: str, complaint: str) -> None:
    """An empty list of a sweep left its entry out; the others ended the report in numpy's own words, or never."""
    done = bonbench("plan", "pocket", "--set", change)
    assert done.code == 2 and done.err.count("\n") == 1 and complaint in done.err
