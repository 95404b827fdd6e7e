r"""Markup around mathematics, and LaTeX that only some countries or packages know, as the LaTeX that ``tokens`` reads.

HTML entities, backslashes that an unescaping too many has eaten (``\times`` as a tab and "imes"), colours, ``\tg``,
``\stackrel``, French intervals, ``{}_5C_2``.
"""

from __future__ import annotations

import html
import re

from bonbench.verifiers.reading.callings import choices_of
from bonbench.verifiers.reading.spelling import words

_MAX_CHARS = 8000
_ENTITY = re.compile(r"&(?:lt|gt|le|ge|ne|amp|nbsp|minus|times|divide|pi|infin|deg|plusmn|quot|apos|radic|#\d{1,5});")
_SUPERSCRIPT = re.compile(r"<sup>([^<>]{1,40})</sup>")
_SUBSCRIPT = re.compile(r"<sub>([^<>]{1,40})</sub>")
_TAG = re.compile(r"<(b|i|u|em|strong|span|p|div|font|code|tt|math)(?: [^<>]{0,80})?>(.{0,300}?)</\1>", re.DOTALL)
_BREAK = re.compile(r"<br ?/?>")
#: Control character -> what is left of the commands that begin with its letter.
_EATEN = {
    "\t": "imes|heta|ext|extbf|extit|frac|binom|au|riangle|herefore|ilde|an(?=[\\s]*[\\\\({^])|g(?=[\\s]*[\\\\({^])",
    "\n": "eq|e(?= ?-?[\\d\\\\])|otin|abla|eg(?= ?[a-z]\\b)",
    "\r": "ightarrow|ight(?=[)\\]|.])|ho|angle|ceil|floor|vert",
    "\f": "rac|orall|box",
    "\b": "inom|egin|ar|eta|oxed|igcup|ecause|f|mod",
    "\a": "lpha|ngle|pprox|rctan|rcsin|rccos|rctg|st",
    "\v": "ec|ert|arphi|arepsilon|arnothing|ee",
}
_LETTERS = {"\t": "t", "\n": "n", "\r": "r", "\f": "f", "\b": "b", "\a": "a", "\v": "v"}
_EATEN_COMMANDS = [
    (re.compile(f"{char}(?=(?:{rests})(?![a-z]))"), "\\\\" + _LETTERS[char]) for char, rests in _EATEN.items()
]
_COLOUR = re.compile(r"\\(?:text|page|f)?color(?:box)?\s*(?:\[[^\]{}]*\])?\s*\{[^{}]*\}")
_EMPHASISED = re.compile(r"\s*(?P<mark>\*{1,3}|__)(?=[^\s*_])([^*]*[^\s*])(?P=mark)\s*\.?\s*")
_ANGLES = re.compile(r"\s*<\s*([^<>=,]+,[^<>=]+)\s*>\s*")
_UNDERLINED = re.compile(r"\\(?:underline|uline)\s*(?=\{)")
_ROW_SPACE = re.compile(r"(\\\\)\s*\[-?[\d.]+\s*(?:pt|em|ex|mm|cm|in)\]")
_CONCLUSION = re.compile(r"^[\s$]*(?:\\(?:therefore|because|implies|Rightarrow|Longrightarrow)(?![A-Za-z])|[∴∵⇒])\s*")
_NEW_LINE = re.compile(r"\\(?:cr|newline|tabularnewline)(?![A-Za-z])")
_NAMES = {
    "tg": "tan",
    "ctg": "cot",
    "cotg": "cot",
    "cotan": "cot",
    "cosec": "csc",
    "sh": "sinh",
    "ch": "cosh",
    "th": "tanh",
    "cth": "coth",
    "arctg": "arctan",
    "arcctg": "arccot",
    "arccot": "arccot",
    "arcsec": "arcsec",
    "arccsc": "arccsc",
    "arcsinh": "arsinh",
    "arccosh": "arcosh",
    "arctanh": "arctanh",
    "cis": "cis",
    "arg": "arg",
    "Arg": "arg",
    "sgn": "sgn",
    "sign": "sgn",
    "lb": "log_2 ",
}
_COMMAND_NAMES = words("tg ctg cotg cosec arctg arcctg arccot arcsec arccsc sh ch th cth")
_SHORT = words("sh ch th sign arg Arg lb")  # words or units, where they stand in \text
_NAMED = re.compile(
    r"\\(?:(?:operatorname\*?|mathop)\s*\{\s*(?:\\(?:mathrm|rm)\s*\{?)?\s*(" + "|".join(_NAMES) + r")\s*\}+"
    r"|(?:mathrm|text|rm)\s*\{\s*(" + "|".join(name for name in _NAMES if name not in _SHORT) + r")\s*\})"
)
_COMMAND = re.compile(r"\\(" + "|".join(_COMMAND_NAMES) + r")(?![A-Za-z])")
_PLAIN = re.compile(r"(?<![A-Za-z\\])(arc(?:tg|ctg|cot|sec|csc)|c?tg|cis)(?=\s*[({\\\d]| ?[a-z]\b)")
_ABOVE = re.compile(r"\\(?:stackrel|overset|underset)\s*\{[^{}]*\}\s*\{([^{}]*)\}")
_BRACE = re.compile(r"\\(?:under|over)brace\s*\{([^{}]*)\}\s*(?:[_^]\s*\{[^{}]*\})?")
_SETS = re.compile(
    r"\\([RZNQC])(?![A-Za-z])|\\(?:mathds|Bbb|mathbbm)\s*\{?([RZNQC])\}?|\\(reals|integers|naturals)(?![A-Za-z])"
)
_BOLD_SET = re.compile(
    r"(?<=\\in)\s*\\(?:mathbf|bf|boldsymbol)\s*\{([RZNQC])\}|^\s*\\mathbf\s*\{([RZNQC])\}(?=\s*(?:\\|-))"
)
_WITHOUT = re.compile(
    r"(\\mathbb\s*\{?[RZNQC]\}?|(?<![A-Za-z\\])[RZNQC])\s*(?:\\ |\\(?= ?\{)|\\backslash)\s*(?=\\?\{|\\left\\\{|\[|\()"
    r"|(\\mathbb\s*\{?[RZNQC]\}?|(?<![A-Za-z\\])R)\s*-\s*(?=\\\{|\\left\\\{)"
)
_DOTTED_PERIOD = re.compile(r"\\dot\s*\{?(\d)\}?(\d*)\\dot\s*\{?(\d)\}?")
_LINED_PERIOD = re.compile("(?:\\d\u0305)+")
_AND_SO_ON = re.compile(r",\s*\.\.\.+(?!\d)")
_CHOSEN = re.compile(
    r"(?<![\w})\]])(?:\{\s*\})?[_^]\s*\{?\s*(\w{1,4})\s*\}?\s*(?:\\(?:mathrm|text)\s*\{)?([CP])\}?\s*_\s*\{?\s*(\w{1,4})\s*\}?"
)
_REVERSED = re.compile(r"(\\left|\\right)?\s?([\[\]])([^\[\]]{1,80}?[,;][^\[\]]{1,80}?)(\\left|\\right)?\s?([\[\]])")


def plain(text: str) -> str:
    r"""``text`` with its markup replaced or dropped.

    >>> plain("&lt; 5"), plain("2 \times 3"), plain(r"\color{red}{42}"), plain(r"\therefore \tg x")
    ('< 5', '2 \\times 3', '{42}', '\\tan  x')
    >>> plain("]0, 1[") , plain(r"{}_5C_2")
    ('(0, 1)', '\\binom{5}{2}')
    """
    if len(text) > _MAX_CHARS:
        return text
    if "&" in text:
        text = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
    if (emphasised := _EMPHASISED.fullmatch(text)) is not None:
        text = emphasised[2]
    if "<" in text:
        text = _ANGLES.sub(r"\\langle \1\\rangle ", text) if _ANGLES.fullmatch(text) else text
        text = _BREAK.sub("\n", _SUBSCRIPT.sub(r"_{\1}", _SUPERSCRIPT.sub(r"^{\1}", text)))
        text = _TAG.sub(r"\2", text)
    if not text.isprintable():
        for eaten, command in _EATEN_COMMANDS:
            text = eaten.sub(command, text)
    text = _AND_SO_ON.sub(r", \\ldots ", _CONCLUSION.sub("", text))
    text = _LINED_PERIOD.sub(lambda match: rf"\overline{{{match[0].replace(chr(0x305), '')}}}", text)
    if "\\" in text or "_" in text or "^" in text:
        text = _latex(text)
    text = _PLAIN.sub(lambda match: rf"\{_NAMES[match[1]]} ", text)
    if "[" in text or "]" in text:
        text = _REVERSED.sub(_interval, text)
    return text


def _latex(text: str) -> str:
    text = _UNDERLINED.sub("", _ROW_SPACE.sub(r"\1", _COLOUR.sub("", text)))
    text = _NEW_LINE.sub(r"\\\\", text)
    text = _NAMED.sub(lambda match: rf"\{_NAMES[match[1] or match[2]]} ", text)
    text = _COMMAND.sub(lambda match: rf"\{_NAMES[match[1]]} ", text)
    text = _BRACE.sub(r"{\1}", _ABOVE.sub(r"\1", text))
    text = _SETS.sub(lambda match: rf"\mathbb{{{match[1] or match[2] or match[3][0].upper()}}}", text)
    text = _BOLD_SET.sub(lambda match: rf"\mathbb{{{match[1] or match[2]}}}", text)
    text = _WITHOUT.sub(lambda match: rf"{match[1] or match[2]} \setminus ", text)
    text = _DOTTED_PERIOD.sub(r"\\overline{\1\2\3}", text)
    return _CHOSEN.sub(lambda match: choices_of(*match.groups()), text)


def _interval(match: re.Match[str]) -> str:
    """``]a, b[`` with the brackets that mean the same: those that turn away from the interval are open."""
    _, opening, inner, _, closing = match.groups()
    if (opening, closing) == ("[", "]"):
        return match[0]
    return ("[" if opening == "[" else "(") + inner + ("]" if closing == "]" else ")")
