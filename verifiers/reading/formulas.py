r"""Formulas in prose: between dollars or ``\(…\)``, or bare, as in "So the area is 2π."

A number that a root, pi, an exponent, a letter or a base touches is a part of a formula. :func:`delimited` sets every
bare formula between ``\(`` and ``\)``, so that a part of it is never taken for a number that stands alone.
"""

from __future__ import annotations

import re

from bonbench.verifiers.reading.spelling import FUNCTIONS, MONTHS

#: Maths in delimiters; inline maths stands within one line, and a dollar before a digit may be money instead.
MATHS = re.compile(
    r"\$\$(.+?)\$\$|(?<![\\\w])\$(?![\s$])((?:[^$\n\\]|\\.)+?)(?<![\s\\])\$(?!\d)"
    r"|\\\(((?:(?!\\\)|\n).)+?)\\\)|\\\[((?:(?!\\\]).)+?)\\\]",
    re.DOTALL,
)
_PROSE = re.compile(r"(?<![\\{A-Za-z])[A-Za-z]{3,}(?![}A-Za-z])")
# Whether a bare formula may be there at all: a sign, a command, a letter or a bracket at a number, a time.
_SIGN = re.compile(r"[=<>^_√π∞≤≥≠≈≡±×÷·°²³!\\/+*|:\[{(∅½⅓⅔¼¾]")
_AT_NUMBER = re.compile(r"\d(?:[A-Za-z]| pi\b)")
_SIGNED = re.compile(r"[-−] ?[\d(\\]")
_NAMED_HINTS = ("sqrt ", "ln ", "log ", "sin ", "cos ", "tan ", *MONTHS)
_GROUP = r"\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}"
_NAMES = "|".join(sorted(FUNCTIONS, key=len, reverse=True))
_MONTHS = rf"(?:{'|'.join(sorted(MONTHS))})"
# Two letters that are no word: a product, a side of a triangle.
_PRODUCT = (
    r"(?<![A-Za-z\\])(?!(?:is|of|to|in|it|by|at|as|an|or|if|on|so|we|he|be|no|up|do|go|my|us|me|am|hi|ok|vs|"
    r"cm|km|mm|kg|mg|ml|ft|oz|lb|hr|th|st|nd|rd|AM|PM|OK|US|UK|EU|TV|PC)\b)"
    r"(?:[a-z]{2}|[A-Z]{2,3})(?![A-Za-z])"
)
_LEXER = re.compile(
    rf"""(?P<environment>\\begin\{{(?P<kind>[a-z]+)\*?\}}.*?\\end\{{(?P=kind)\*?\}})
    |(?P<skip>(?<![\d)])(?<!\b[a-z])\*\*|\*\*(?![\d(]|[a-z]\b)|`+|\\[()\[\]]|\\\\|\$\$|\#+)
    |(?P<date>{_MONTHS}\s\d{{1,2}}\b(?:,\s\d{{4}}\b)?|\d{{1,2}}\s{_MONTHS}(?:\s\d{{4}}\b)?)
    |(?P<time>\d{{1,2}}:[0-5]\d(?::[0-5]\d)?(?:\s*(?:[ap]\.m\.?|[ap]m\b|[AP]M\b|[AP]\.M\.?))?(?![\d:]))
    |(?P<prose>\d+(?:st|nd|rd|th|s)\b|\d*[A-Za-z]\d+[A-Za-z\d]*(?![\w^_(])
      |\b[A-Za-z]+(?:[-'’]\w+)+|\d+(?:-[A-Za-z]{{2,}})+)
    |(?P<number>\\?\$\s?-?\d[\d,]*(?:\.\d+)?|\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)
    |(?P<command>\\(?:text|mathrm|operatorname|mbox)\s*{_GROUP}|\\[A-Za-z]+(?:\s*\[[^\[\]]*\])?(?:\s*{_GROUP})*)
    |(?P<union>(?<=[)\]}}])\s*U\s*(?=[(\[{{]))
    |(?P<modulus>\(\s*(?:\\?[bp]?mod)\s*\d+\s*\)|\\pmod\s*\{{?\d+\}}?)
    |(?P<function>(?:{_NAMES})(?![A-Za-z])(?=\s*(?:[\d(^_\\|√πθ]|[a-z]\b))|(?:pi|infinity)\b)
    |(?P<product>(?a:{_PRODUCT}))
    |(?P<word>(?:(?![πθαβγδλφω∞²³⁰¹⁴-⁹₀-₉½⅓⅔¼¾])[^\W\d_]){{2,}})
    |(?P<letter>[A-Za-zπθαβγδλφω∞√∅])
    |(?P<mark>[°²³⁰¹⁴-⁹⁺⁻₀-₉½⅓⅔¼¾%]|\\%|\\[,;!\ ]|'+|!(?!=))
    |(?P<operator><=|>=|!=|\*\*|[-−+*/×÷·⋅^_=<>≤≥≠≈≡±∓∪∩∈|])
    |(?P<open>\\?[(\[{{])
    |(?P<close>\\?[)\]}}])
    |(?P<comma>[,:])
    |(?P<space>\s+)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_VALUES = frozenset({"environment", "date", "time", "number", "command", "function", "product", "letter"})
_PLAIN_NUMBER = re.compile(r"[-−]?(?:\\?\$\s?)?[-−]?[\d,]*\.?\d+(?:\s?/\s?\d+)?\s?\\?%?|\\?\$?\d[\d,]*-\d[\d,]*")
# "5cm", "300g", "5:00 PM": beside other numbers these are no more the answer than the others.
_WEAK = re.compile(
    r"\d[\d,.]*[A-Za-z]+|[A-Z][a-z]+ \d+(?:, \d+)?|\d+ [A-Z][a-z]+(?: \d+)?"
    r"|\d{1,2}:\d\d(?::\d\d)?(?:\s*[AaPp]\.?[Mm]\.?)?"
)
_RATIO = re.compile(r"\d?\s?:\s?\d")
_DIGIT = re.compile(r"\d")
# A minus apart from its number is a sign only after these; elsewhere it is a dash.
_BEFORE_SIGN = re.compile(r"(?:\b(?:is|are|be|equals?|by|to)|=|:)\s*$")
_NAME = re.compile(r"\s*(?:\\?[A-Za-z]+(?:_\{?\w+\}?)?'*(?:\([A-Za-z, ]+\))?)?\s*")
_LINE_NAME = re.compile(r"\s*([a-z])\s*=")
_APPROXIMATELY = re.compile(r"≈|\\approx(?![A-Za-z])|\\simeq(?![A-Za-z])|\\doteq(?![A-Za-z])")


def delimited(text: str) -> str:
    r"""``text`` with its bare formulas between ``\(`` and ``\)``. Numbers that stand alone stay as they are.

    >>> delimited("So the area is 2π, or x = 3 + 2i when 5 cars come.")
    'So the area is \\(2π\\), or \\(x = 3 + 2i\\) when 5 cars come.'
    """
    if not _may_have_formula(text):
        return text
    pieces, position = [], 0
    for maths in MATHS.finditer(text):
        if not is_money(maths):
            pieces += [_delimited(text[position : maths.start()]), maths[0]]
            position = maths.end()
    return "".join([*pieces, _delimited(text[position:])])


def inner_maths(match: re.Match[str]) -> str:
    """What stands between the delimiters of a match of ``MATHS``."""
    return next(g for g in match.groups() if g is not None).strip()


def is_money(match: re.Match[str]) -> bool:
    """Whether a pair of dollar signs is two sums of money with words between."""
    return match[2] is not None and match[2][0].isdigit() and _PROSE.search(match[2]) is not None


def last_side(equation: str) -> str:
    r"""The last side of a chain of equations; of a value and its approximation, the value.

    >>> last_side("a + b = 3 + 4 = 7"), last_side("x \\approx 3.14"), last_side("\\sqrt{2} \\approx 1.414")
    ('7', '3.14', '\\sqrt{2}')
    """
    if "\\\\" in equation:
        lines = [line for line in equation.replace("&", "").split("\\\\") if line.strip()]
        names = {match[1] for line in lines if (match := _LINE_NAME.match(line)) is not None}
        if len(names) == len(lines) > 1:  # a system of solutions
            return ", ".join(line.strip(" .,\n") for line in lines)
        equation = lines[-1] if lines else equation
    side = re.split(r"(?<![<>\\!])=(?!=)", equation)[-1].strip(" .")
    exact, *rounded = _APPROXIMATELY.split(side)
    if not rounded:
        return side
    return (rounded[-1] if _NAME.fullmatch(exact) else exact).strip(" .")


def _may_have_formula(text: str) -> bool:
    """Whether ``text`` has a sign, a letter at a number, a function or a date."""
    return (
        _SIGN.search(text) is not None
        or _AT_NUMBER.search(text) is not None
        or _SIGNED.search(text) is not None
        or any(map(text.__contains__, _NAMED_HINTS))
    )


def _delimited(text: str) -> str:
    if not _may_have_formula(text):
        return text
    formulas = _bare_formulas(text)
    weak = [span for span in formulas if _WEAK.fullmatch(text, *span)]
    if weak and _has_digits_outside(text, weak):
        formulas = [span for span in formulas if span not in weak]
    pieces, position = [], 0
    for start, end in formulas:
        pieces += [text[position:start], "\\(", text[start:end], "\\)"]
        position = end
    return "".join([*pieces, text[position:]])


def _has_digits_outside(text: str, spans: list[tuple[int, int]]) -> bool:
    digits = (match.start() for match in _DIGIT.finditer(text))
    return any(not any(start <= digit < end for start, end in spans) for digit in digits)


def _bare_formulas(text: str) -> list[tuple[int, int]]:
    """(start, end) of the bare formulas of ``text`` that are more than a number."""
    formulas = []
    run: list[re.Match[str]] = []
    for match in _LEXER.finditer(text):
        if run and ("\n" not in match[0] if match.lastgroup == "space" else _continues(run, match)):
            run.append(match)
            continue
        formulas += _formulas_of(run)
        run = [match] if _begins(match) else []
    return [*formulas, *_formulas_of(run)]


def _begins(match: re.Match[str]) -> bool:
    kind = match.lastgroup
    if kind == "operator":
        after = match.string[match.end() : match.end() + 1]
        apart = after.isspace() and _BEFORE_SIGN.search(match.string[: match.start()]) is None
        return match[0] in ("±", "|", "<", ">", "<=", ">=", "≤", "≥", "≠") or (match[0] in "-−" and not apart)
    return kind in _VALUES or kind == "open"


def _continues(run: list[re.Match[str]], match: re.Match[str]) -> bool:
    """Whether ``match`` goes on with the formula that ``run`` began."""
    kind = match.lastgroup
    last = run[-1]
    if kind in ("operator", "union", "modulus", "close", "mark"):
        return kind != "mark" or last.lastgroup != "space"
    if kind == "comma":  # inside brackets, or in a ratio
        return _depth(run) > 0 or (
            match[0] == ":" and _RATIO.search(match.string, last.start(), match.end() + 2) is not None
        )
    if kind not in _VALUES and kind != "open":
        return False
    if last.lastgroup != "space":
        return not (kind == "open" and last.lastgroup == "close" and last[0] == "]")
    before = next((m for m in reversed(run) if m.lastgroup != "space"), last)
    return (
        before.lastgroup in ("operator", "union", "open", "comma", "function")
        or (kind in ("command", "function") and match[0] not in ("max", "min"))
        or match[0] in "√π"
        or (before.lastgroup == "command" and kind != "open")
    )


def _depth(run: list[re.Match[str]]) -> int:
    return sum((m.lastgroup == "open") - (m.lastgroup == "close") for m in run)


def _formulas_of(run: list[re.Match[str]]) -> list[tuple[int, int]]:
    """The formula in ``run``: without loose ends, and only where it is more than a number or a letter."""
    while run and (run[-1].lastgroup in ("space", "comma", "open") or _is_loose(run)):
        run = run[:-1]
    while run and (run[0].lastgroup in ("space", "comma") or _unclosed(run)):
        run = run[1:]
    while run and run[0].lastgroup == "space":
        run = run[1:]
    if not run or not any(m.lastgroup in _VALUES for m in run):
        return []
    kinds = [m.lastgroup for m in run]
    text = run[0].string[run[0].start() : run[-1].end()]
    if _PLAIN_NUMBER.fullmatch(text):
        return []
    has_value = any(
        m.lastgroup in ("number", "environment", "date", "time", "command", "function") or m[0] in "π∞θ∅" for m in run
    )
    if not has_value and not (
        (kinds.count("letter") + kinds.count("product") > 1 and re.search(r"[=<>+^≤≥≠]", text)) or text[1:] == "!"
    ):
        return []
    if all(kind in ("number", "open", "close") for kind in kinds) and kinds.count("number") == 1:
        return []
    return [(run[0].start(), run[-1].end())]


def _is_loose(run: list[re.Match[str]]) -> bool:
    """Whether the end of ``run`` belongs to the prose: an operator, the mark of an exclamation, a bracket too many."""
    last = run[-1]
    if last.lastgroup == "operator":
        return last[0] != "|" or sum(m[0] == "|" for m in run) % 2 == 1
    if last[0] == "!":
        return last.end() >= len(last.string.rstrip("* \n")) and len(run) > 1 and run[-2].lastgroup != "letter"
    if last.lastgroup == "letter" and last[0] in ("a", "I", "A") and len(run) > 1:
        return run[-2].lastgroup == "space"
    if last.lastgroup == "close":
        return _depth(run) < 0
    return last[0].startswith("'")


def _unclosed(run: list[re.Match[str]]) -> bool:
    return run[0].lastgroup == "open" and _depth(run) > 0
