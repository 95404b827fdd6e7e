"""Students: they work out problems step by step, with misconceptions, in words that vary.

A misconception is a slip that belongs to a situation, such as a larger number subtracted from a smaller one, or a
product of two negatives. Each slip of a :class:`Student` has a probability. In its situation a slip can be likelier
than the right result. Then a vote cannot tell right from wrong, and the likelihood of a model of that student cannot
either; a model that has seen which answers were right can. The words around each step are drawn independently of
slips, so they say nothing about correctness.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple


class Ratio(NamedTuple):
    """A quotient as a student leaves it: not reduced. ``bottom`` is not zero."""

    top: int
    bottom: int


class Point(NamedTuple):
    """A pair of whole numbers."""

    x: int
    y: int


Answer = int | Ratio | Point


class Slip(NamedTuple):
    """One way of getting ``a op b`` wrong: when it tempts, and what comes out."""

    op: str
    tempts: Callable[[int, int], bool]
    result: Callable[[int, int], int]


#: Slips of a single operation. For one operation their situations exclude each other.
SLIPS: dict[str, Slip] = {
    # 37 + 25 = 52
    "carry": Slip("+", lambda a, b: min(a, b) >= 0 and a % 10 + b % 10 > 10, lambda a, b: a + b - 10),
    # -3 + 8 = -11
    "negative-plus": Slip("+", lambda a, b: a < 0 < b, lambda a, b: a - b),
    # 5 + (-8) = 13
    "plus-negative": Slip("+", lambda a, b: b < 0 < a, lambda a, b: a - b),
    # -3 + (-4) = 7
    "two-negatives": Slip("+", lambda a, b: a < 0 and b < 0, lambda a, b: -a - b),
    # 4 - 9 = 5
    "lost-sign": Slip("-", lambda a, b: 0 <= a < b, lambda a, b: b - a),
    # -3 - 4 = 1
    "negative-minus": Slip("-", lambda a, b: a < 0 < b, lambda a, b: a + b),
    # 6 - (-2) = 4
    "minus-negative": Slip("-", lambda a, b: b < 0, lambda a, b: a + b),
    # 32 - 18 = 24
    "borrow": Slip("-", lambda a, b: a >= b >= 0 and a % 10 < b % 10, lambda a, b: a - b + 10),
    # 3 \cdot 5 = 8
    "product-as-sum": Slip("*", lambda a, b: min(a, b) in (2, 3) and max(a, b) > 3, lambda a, b: a + b),
    # 5 \cdot 6 = 24
    "times-table": Slip("*", lambda a, b: min(a, b) > 3 and max(a, b) == 6, lambda a, b: a * b - 6),
    # 4 \cdot (-3) = 12
    "product-sign": Slip("*", lambda a, b: a * b < 0, lambda a, b: -a * b),
    # -4 \cdot (-3) = -12
    "negative-product": Slip("*", lambda a, b: a < 0 and b < 0, lambda a, b: -a * b),
    # 17 \bmod 5 = 12
    "one-reduction": Slip("mod", lambda a, b: a >= 2 * b, lambda a, b: a - b),
    # -7 \bmod 5 = 2
    "negative-remainder": Slip("mod", lambda a, b: a < 0 and -a % b != a % b, lambda a, b: -a % b),
}
#: Slips in choosing what to compute; the subjects ask for them by name.
PLAN_SLIPS = ("kept-sign", "added-bottoms", "off-by-one", "half-scaled")

_OPERATE: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "mod": lambda a, b: a % b,
}
_SIGN = {"+": "+", "-": "-", "*": r"\cdot", "mod": r"\bmod"}


@dataclass(frozen=True)
class Wording:
    """Choices of words with their weights. One unlikely word costs as much log-likelihood as a slip does."""

    openers: Mapping[str, float]
    relations: Mapping[str, float]
    closers: Mapping[str, float]

    @staticmethod
    def draw(choices: Mapping[str, float], rng: random.Random) -> str:
        """One of ``choices``, by their weights."""
        return rng.choices(list(choices), list(choices.values()))[0]


PLAIN = Wording({"": 1}, {"=": 1}, {"The answer is": 1})
LIVELY = Wording(
    {
        "Now": 30,
        "Then": 20,
        "So": 14,
        "Next,": 10,
        "Here": 8,
        "Clearly": 6,
        "Note": 4,
        "Again": 3,
        "Well,": 2,
        "Also": 1,
    },
    {"=": 60, "is": 20, "gives": 12, "makes": 6, "equals": 2},
    {"The answer is": 50, "So we get": 20, "We find": 15, "Hence": 10, "Answer:": 5},
)


@dataclass(frozen=True)
class Student:
    """``slips`` has the probability of each slip in its situation; ``noise`` that of being off by one elsewhere."""

    slips: Mapping[str, float] = field(default_factory=dict)
    noise: float = 0.0
    wording: Wording = PLAIN

    def __post_init__(self) -> None:
        unknown = set(self.slips) - set(SLIPS) - set(PLAN_SLIPS)
        if unknown:
            raise ValueError(f"no such slips: {sorted(unknown)}")


class Work:
    """A student's solution in the making. Each operation writes a step and returns the student's result."""

    def __init__(self, student: Student, rng: random.Random) -> None:
        self.student = student
        self.rng = rng
        self.lines: list[str] = []
        self.slipped: list[str] = []

    def tempted(self, slip: str) -> bool:
        """Whether the student makes this slip here, where its situation is given."""
        made = self.rng.random() < self.student.slips.get(slip, 0.0)
        if made:
            self.slipped.append(slip)
        return made

    def add(self, a: int, b: int) -> int:
        """The student's ``a + b``."""
        return self.operate("+", a, b)

    def sub(self, a: int, b: int) -> int:
        """The student's ``a - b``."""
        return self.operate("-", a, b)

    def mul(self, a: int, b: int) -> int:
        """The student's product of ``a`` and ``b``."""
        return self.operate("*", a, b)

    def operate(self, op: str, a: int, b: int) -> int:
        """Compute ``a op b`` ("mod" with a positive modulus) as the student does."""
        result = _OPERATE[op](a, b)
        for name, slip in SLIPS.items():
            if slip.op == op and slip.tempts(a, b):
                if self.tempted(name):
                    result = slip.result(a, b)
                break
        else:
            if self.rng.random() < self.student.noise:
                self.slipped.append("noise")
                result += 1 if result >= 0 else -1  # never to zero: results serve as denominators
        words = self.student.wording
        relation = words.draw(words.relations, self.rng)
        self._write(words.draw(words.openers, self.rng), f"{operation(op, a, b)} {relation} {result}")
        return result

    def finish(self, answer: Answer) -> str:
        """The whole solution, the answer boxed in its last step."""
        words = self.student.wording
        form = answer_form(answer, self.rng if words is not PLAIN else None)
        self._write(words.draw(words.closers, self.rng), rf"$\boxed{{{form}}}$")
        return "\n".join(self.lines)

    def _write(self, opener: str, statement: str) -> None:
        self.lines.append(" ".join(filter(None, (f"Step {len(self.lines) + 1}:", opener, statement))))


def operation(op: str, a: int, b: int) -> str:
    """LaTeX for ``a op b``, a negative second operand in parentheses."""
    return f"{a} {_SIGN[op]} " + (f"({b})" if b < 0 else str(b))


def exact(answer: Answer) -> Fraction | Point:
    """The value of an answer, for comparison."""
    if isinstance(answer, Point):
        return answer
    return Fraction(*answer) if isinstance(answer, Ratio) else Fraction(answer)


def answer_form(answer: Answer, rng: random.Random | None) -> str:
    """An answer in LaTeX: one of its equivalent forms, drawn with ``rng``; without ``rng`` the plain form."""
    if isinstance(answer, int):
        return str(answer)
    if isinstance(answer, Point):
        return f"({answer.x},{'' if rng and rng.random() < 0.3 else ' '}{answer.y})"
    top, bottom = answer
    if bottom < 0:
        top, bottom = -top, -bottom
    whole = top % bottom == 0
    if rng is not None and rng.random() < 0.4:
        if whole:
            return str(top // bottom)
        if bottom == 2:
            return f"{'-' if top < 0 else ''}{abs(top) // 2}.5"
    command = r"\dfrac" if rng is not None and rng.random() < 0.2 else r"\frac"
    return f"{'-' if top < 0 else ''}{command}{{{abs(top)}}}{{{bottom}}}"


def gold_form(answer: Answer) -> str:
    """An answer in LaTeX, reduced."""
    value = exact(answer)
    if isinstance(value, Point):
        return answer_form(value, None)
    return answer_form(int(value) if value.denominator == 1 else Ratio(*value.as_integer_ratio()), None)
