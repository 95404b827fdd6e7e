"""The formulas of a page as MathML: a block for the problems, and one for each block of responses.

A formula is rendered once, and stands once in a block; texts say where they have it. Rendering takes time, so each
problem has a share of it, and of the bytes: first what its choosers took, then its other responses in their order.
Texts beyond the share show their LaTeX. Characters are counted, not seconds: the same results give the same page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.report.page.blocks import decode_block, encode_block
from harness.report.page.formulas import Formula, find_formulas, find_in_answer
from harness.report.page.mathml import Node, to_mathml


class Cost(NamedTuple):
    """``latex``: characters of formulas that were not rendered before, which take time. ``size``: bytes, about."""

    latex: int
    size: int

    def within(self, other: Cost) -> bool:
        return self.latex <= other.latex and self.size <= other.size

    def plus(self, other: Cost) -> Cost:
        return Cost(self.latex + other.latex, self.size + other.size)

    def left_of(self, whole: Cost, parts: int) -> Cost:
        """A part of what is left of ``whole``."""
        return Cost((whole.latex - self.latex) // parts, (whole.size - self.size) // parts)


MOST = Cost(latex=1_200_000, size=2_000_000)
_PLACE_BYTES = 3  # of a formula in a text
_LATEX_PER_BYTE = 3  # of a formula in a block, compressed


@dataclass(frozen=True)
class Mathematics:
    """``blocks``, in base64 under their element ids. ``source_only`` of ``n_texts`` with formulas show their LaTeX."""

    blocks: dict[str, str]
    source_only: int
    n_texts: int


class _Renderer:
    """Formulas in MathML, each rendered once."""

    def __init__(self) -> None:
        self._rendered: dict[tuple[str, bool], list[Node] | None] = {}

    def __call__(self, formula: Formula) -> list[Node] | None:
        key = (formula.latex, formula.display)
        if key not in self._rendered:
            self._rendered[key] = to_mathml(*key)
        return self._rendered[key]

    def cost(self, formulas: Iterable[Formula]) -> int:
        """The characters that are yet to be rendered."""
        new = {key for f in formulas if (key := (f.latex, f.display)) not in self._rendered}
        return sum(len(latex) for latex, _ in new)


class _Block:
    """The formulas of a block's texts, until they cost more than ``allowance``; they have cost ``spent``."""

    def __init__(self, render: _Renderer, allowance: Cost) -> None:
        self._render, self._allowance = render, allowance
        self._numbers: dict[tuple[str, bool, int], int] = {}
        self._formulas: list[list[Any]] = []
        self._full = False
        self.spent = Cost(0, 0)
        self.source_only = self.n_texts = 0

    def places(self, formulas: Iterable[Formula]) -> list[int]:
        """Where a text has which formulas: by turns the characters since the last one, and the formula's number.

        A text that is beyond the allowance has none, nor have those after it.
        """
        found = iter(formulas)
        if not (first := next(found, None)):
            return []
        self.n_texts += 1
        whole = [] if self._full else [first, *found]
        spent = self.spent.plus(Cost(self._render.cost(whole), self._size(whole)))
        self._full |= not spent.within(self._allowance)
        if self._full:
            self.source_only += 1
            return []
        self.spent = spent
        places: list[int] = []
        at = 0
        for formula in whole:
            if nodes := self._render(formula):
                places += [formula.start - at, self._number(formula, nodes)]
                at = formula.end
        return places

    def _size(self, formulas: Sequence[Formula]) -> int:
        new = {key for f in formulas if (key := (f.latex, f.display, f.end - f.start)) not in self._numbers}
        return _PLACE_BYTES * len(formulas) + sum(len(latex) for latex, *_ in new) // _LATEX_PER_BYTE

    def _number(self, formula: Formula, nodes: list[Node]) -> int:
        length = formula.end - formula.start
        key = (formula.latex, formula.display, length)
        if key not in self._numbers:
            self._numbers[key] = len(self._formulas)
            self._formulas.append([length, int(formula.display), *nodes])
        return self._numbers[key]

    def packed(self, texts: Mapping[int, str], answers: Iterable[str | None]) -> str:
        """The block, with ``texts`` by their row, in the order of their importance; empty where no formula is in it."""
        of_answers = {
            answer: places
            for answer in dict.fromkeys(answers)
            if answer is not None and (places := self.places(find_in_answer(answer)))
        }
        found = {row: self.places(find_formulas(text)) for row, text in texts.items()}
        if not self._formulas:
            return ""
        of_texts = [found[row] for row in sorted(found)]
        return encode_block({"formulas": self._formulas, "texts": of_texts, "answers": of_answers})


def render_mathematics(index: Mapping[str, Any], blocks: Mapping[str, str], most: Cost = MOST) -> Mathematics:
    """What an explorer's problems, and its blocks of responses, have of formulas.

    Args:
        index, blocks: of :class:`harness.report.page.explorer.Explorer`.
        most: what all of them may cost.
    """
    render = _Renderer()
    problems = _Block(render, most)
    packed = {
        "mathematics": problems.packed(dict(enumerate(index["problems"]["text"])), index["problems"]["gold"]),
    }
    done, spent = [problems], problems.spent
    for number, (name, block) in enumerate(blocks.items()):
        one = _Block(render, spent.left_of(most, len(blocks) - number))
        packed[f"mathematics-{name}"] = _of_responses(one, decode_block(block))
        spent = spent.plus(one.spent)
        done.append(one)
    return Mathematics(
        {name: block for name, block in packed.items() if block},
        sum(block.source_only for block in done),
        sum(block.n_texts for block in done),
    )


def _of_responses(block: _Block, responses: dict[str, Any]) -> str:
    chosen = {sample for chooser in responses["choosers"] for sample in chooser["chosen"] or ()}
    rows = sorted(range(len(responses["texts"])), key=lambda row: responses["samples"][row] not in chosen)
    answers = [*(answer["text"] for answer in responses["answers"]), *responses["extracted"]]
    return block.packed({row: responses["texts"][row] for row in rows}, answers)
