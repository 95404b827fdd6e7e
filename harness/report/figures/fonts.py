"""Fonts in PDF files: cut down once for all figures, and not for every figure anew.

To take the letters of a figure out of a font of 6,000 takes longer than to draw the figure, twice per file. So every
file has all the usual letters, which are cut out once in a process, and those that it has besides.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from io import BytesIO
from typing import Any

from matplotlib.backends import _backend_pdf_ps
from matplotlib.ft2font import FT2Font

_USUAL = string.printable[:95] + "–—−×·…†‡≤≥≈±°µαβγδκλπσ∞"


@contextmanager
def fonts_cut_once() -> Iterator[None]:
    """Context in which matplotlib writes PDF files so."""
    module: Any = _backend_pdf_ps
    cut, written = module.get_glyphs_subset, module.font_as_file

    def get_glyphs_subset(file: Any, glyphs: Iterable[int]) -> AbstractContextManager[Any]:
        return nullcontext(_kept(cut, file, _usual(file) | frozenset(glyphs)))

    def font_as_file(font: Any) -> BytesIO:
        return BytesIO(_content(written, font))

    module.get_glyphs_subset, module.font_as_file = get_glyphs_subset, font_as_file
    try:
        yield
    finally:
        module.get_glyphs_subset, module.font_as_file = cut, written


@cache
def _usual(file: Any) -> frozenset[int]:
    """The numbers of the usual letters in a font."""
    font = FT2Font(file)
    return frozenset(number for letter in _USUAL if (number := font.get_char_index(ord(letter))))


@cache
def _kept(cut: Any, file: Any, glyphs: frozenset[int]) -> Any:
    """A font with some of its letters. It stays open."""
    return cut(file, set(glyphs)).__enter__()


@cache
def _content(written: Any, font: Any) -> bytes:
    """The file of a font that stays open."""
    content: bytes = written(font).getvalue()
    return content
