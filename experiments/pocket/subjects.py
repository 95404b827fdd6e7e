"""The six subjects: each draws a task of one of five levels and says how it is worked out.

Every task is solved by a short chain of operations on small integers, through :class:`~.students.Work`. So a
student's misconceptions run through all subjects. ``solve`` depends on the work alone: with the work of an error-free
student it gives the right answer, with the work of another student that student's answer.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from bonbench.experiments.pocket.students import Answer, Point, Ratio, Work, operation

LEVELS = (1, 2, 3, 4, 5)
Solve = Callable[[Work], Answer]


@dataclass(frozen=True)
class Task:
    """A problem's text, and how it is worked out."""

    problem: str
    solve: Solve


def _signed(rng: random.Random, limit: int) -> int:
    return rng.choice((-1, 1)) * rng.randint(1, limit)


def arithmetic(level: int, rng: random.Random) -> Task:
    """A nested expression of one to four operations."""
    operations = (1, 2, 3, 3, 4)[level - 1]
    tree = _expression(operations, rng, negatives=level >= 4)
    return Task(f"Compute ${_latex(tree)}$.", lambda work: _reduce(tree, work))


@dataclass(frozen=True)
class _Node:
    op: str
    left: _Node | int
    right: _Node | int
    value: int


_PRECEDENCE = {"+": 1, "-": 1, "*": 2}


def _expression(operations: int, rng: random.Random, negatives: bool) -> _Node:
    """A random tree whose values stay within what the students can compute: products of at most 6 by 6."""
    while True:
        split = rng.randrange(operations)
        sides: list[_Node | int] = []
        for inner in (split, operations - 1 - split):
            if inner:
                sides.append(_expression(inner, rng, negatives))
            elif negatives and rng.random() < 0.25:
                sides.append(-rng.randint(2, 6))
            else:
                sides.append(rng.randint(2, 12 if operations == 1 else 9))
        left, right = sides
        a, b = (side if isinstance(side, int) else side.value for side in sides)
        op = rng.choice("+-*" if operations > 1 else "+-")
        value = {"+": a + b, "-": a - b, "*": a * b}[op]
        if abs(value) <= 30 and (op != "*" or max(abs(a), abs(b)) <= 6):
            return _Node(op, left, right, value)


def _latex(tree: _Node | int) -> str:
    if isinstance(tree, int):
        return str(tree)
    precedence = _PRECEDENCE[tree.op]
    left, right = _latex(tree.left), _latex(tree.right)
    if isinstance(tree.left, _Node) and _PRECEDENCE[tree.left.op] < precedence:
        left = f"({left})"
    # Subtraction does not associate to the right, and sums keep their shape too: one way to read each problem.
    if (isinstance(tree.right, _Node) and _PRECEDENCE[tree.right.op] <= precedence) or right.startswith("-"):
        right = f"({right})"
    return rf"{left} \cdot {right}" if tree.op == "*" else f"{left} {tree.op} {right}"


def _reduce(tree: _Node | int, work: Work) -> int:
    if isinstance(tree, int):
        return tree
    left = _reduce(tree.left, work)
    return work.operate(tree.op, left, _reduce(tree.right, work))


def fractions(level: int, rng: random.Random) -> Task:
    """Two fractions combined: like denominators, product, one denominator a multiple of the other, any two."""
    b, d = rng.sample(range(2, 7), 2)
    a, c = rng.randint(1, 6), rng.randint(1, 6)
    sign = rng.choice("+-")
    if level == 1:
        return Task(_combined(a, b, sign, c, b), lambda work: Ratio(work.operate(sign, a, c), b))
    if level == 2:
        return Task(_combined(a, b, r"\cdot", c, d), lambda work: Ratio(work.mul(a, c), work.mul(b, d)))
    if level == 3:
        times = rng.randint(2, 4)
        b = rng.randint(2, 4)
        bottom = b * times

        def widen(work: Work) -> Answer:
            if work.tempted("added-bottoms"):
                return Ratio(work.operate(sign, a, c), work.add(b, bottom))
            return Ratio(work.operate(sign, work.mul(a, times), c), bottom)

        return Task(_combined(a, b, sign, c, bottom), widen)
    if level == 5:
        a = -a

    def cross(work: Work) -> Answer:
        if work.tempted("added-bottoms"):
            return Ratio(work.operate(sign, a, c), work.add(b, d))
        left, right = work.mul(a, d), work.mul(c, b)
        return Ratio(work.operate(sign, left, right), work.mul(b, d))

    return Task(_combined(a, b, sign, c, d), cross)


def _combined(a: int, b: int, sign: str, c: int, d: int) -> str:
    minus = "-" if a < 0 else ""
    return rf"Compute ${minus}\frac{{{abs(a)}}}{{{b}}} {sign} \frac{{{c}}}{{{d}}}$."


def linear_equations(level: int, rng: random.Random) -> Task:
    """One unknown: shifted, scaled and shifted, on both sides, in a bracket, in a bracket and on the right."""
    b, d = _signed(rng, 6), _signed(rng, 9)
    c = rng.randint(1, 3)
    a = c + rng.randint(1, 3)
    sides = {
        1: (f"x{b:+}", f"{d}"),
        2: (f"{a}x{b:+}", f"{d}"),
        3: (f"{a}x{b:+}", f"{_times_x(c)}{d:+}"),
        4: (f"{a}(x{b:+})", f"{d}"),
        5: (f"{a}(x{b:+})", f"{_times_x(c)}{d:+}"),
    }
    left, right = (side.replace("+", " + ").replace("-", " - ").strip() for side in sides[level])
    right = right.replace("- ", "-", 1) if right.startswith("-") else right

    def solve(work: Work) -> Answer:
        shift = work.mul(a, b) if level >= 4 else b
        rest = work.add(d, shift) if work.tempted("kept-sign") else work.sub(d, shift)
        if level == 1:
            return rest
        bottom = work.sub(a, c) if level in (3, 5) else a
        return Ratio(rest, bottom)

    return Task(f"Solve ${left} = {right}$.", solve)


def _times_x(factor: int) -> str:
    return "x" if factor == 1 else f"{factor}x"


def modular_arithmetic(level: int, rng: random.Random) -> Task:
    """A remainder of a number, a sum, a product and a number, two products' difference and sum."""
    modulus = rng.randint(3, 7)
    a, b, c, d = (rng.randint(2, 6) for _ in range(4))
    if level == 1:
        number = rng.randint(10, 30)
        return _remainder(str(number), modulus, lambda _: number)
    if level == 2:
        p, q = rng.randint(2, 15), rng.randint(2, 15)
        sign = rng.choice("+-")
        return _remainder(operation(sign, p, q), modulus, lambda work: work.operate(sign, p, q))
    if level == 3:
        sign = rng.choice("+-")
        text = rf"{operation('*', a, b)} {sign} {c}"
        return _remainder(text, modulus, lambda work: work.operate(sign, work.mul(a, b), c))
    sign = "-" if level == 4 else "+"
    text = f"{operation('*', a, b)} {sign} {operation('*', c, d)}"
    return _remainder(text, modulus, lambda work: work.operate(sign, work.mul(a, b), work.mul(c, d)))


def _remainder(text: str, modulus: int, number: Callable[[Work], int]) -> Task:
    return Task(
        f"Find the remainder of ${text}$ modulo ${modulus}$.",
        lambda work: work.operate("mod", number(work), modulus),
    )


def sequences(level: int, rng: random.Random) -> Task:
    """Arithmetic sequences (next term, next two, n-th) and linear recurrences (second and third term)."""
    start, step = rng.randint(-4, 8), _signed(rng, 6)
    second = start + step
    if level == 1:

        def follow(work: Work) -> Answer:
            return work.add(second, work.sub(second, start))

        return Task(rf"Continue ${start}, {second}, \ldots$ by one term.", follow)
    if level == 3:

        def follow_twice(work: Work) -> Answer:
            difference = work.sub(second, start)
            third = work.add(second, difference)
            return Point(third, work.add(third, difference))

        return Task(rf"Continue ${start}, {second}, \ldots$ by a pair of terms.", follow_twice)
    if level == 4:
        n = rng.randint(4, 6)

        def nth(work: Work) -> Answer:
            difference = work.sub(second, start)
            count = n if work.tempted("off-by-one") else work.sub(n, 1)
            return work.add(start, work.mul(count, difference))

        return Task(rf"Continue ${start}, {second}, \ldots$ up to term ${n}$.", nth)
    factor, shift, first = rng.choice((-3, -2, 2, 3)), _signed(rng, 6), rng.randint(1, 4)
    sign, size = ("+", shift) if shift > 0 else ("-", -shift)

    def iterate(work: Work) -> Answer:
        value = first
        for _ in range(1 if level == 2 else 2):
            value = work.operate(sign, work.mul(factor, value), size)
        return value

    term = 2 if level == 2 else 3
    return Task(rf"If $u_1 = {first}$ and $u_{{n+1}} = {factor}u_n {sign} {size}$, find $u_{term}$.", iterate)


def vectors(level: int, rng: random.Random) -> Task:
    """Sums, differences and multiples of pairs."""
    a, b, c, d = (_signed(rng, 6) for _ in range(4))
    k = rng.randint(2, 4)
    if level <= 2:
        if level == 1:
            a, b, c, d = (rng.randint(1, 9) for _ in range(4))
        sign = "+" if level == 1 else "-"
        text = f"({a}, {b}) {sign} ({c}, {d})"
        return Task(f"Find ${text}$.", lambda work: Point(work.operate(sign, a, c), work.operate(sign, b, d)))
    if level == 3:
        k = _signed(rng, 6)

        def scale(work: Work) -> Answer:
            return Point(work.mul(k, a), b if work.tempted("half-scaled") else work.mul(k, b))

        return Task(f"Find ${k}({a}, {b})$.", scale)
    sign = "+" if level == 4 else "-"

    def combine(work: Work) -> Answer:
        x = work.operate(sign, a, work.mul(k, c))
        return Point(x, work.operate(sign, b, d if work.tempted("half-scaled") else work.mul(k, d)))

    return Task(f"Find $({a}, {b}) {sign} {k}({c}, {d})$.", combine)


SUBJECTS: dict[str, Callable[[int, random.Random], Task]] = {
    "Arithmetic": arithmetic,
    "Fractions": fractions,
    "Linear Equations": linear_equations,
    "Modular Arithmetic": modular_arithmetic,
    "Sequences": sequences,
    "Vectors": vectors,
}
