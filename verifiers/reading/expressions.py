"""The parser of expressions: mathematics as people write it, with mixed numbers, ``\\frac34``, ``\\sin 2x`` and
implicit products."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from bonbench.verifiers.reading.cursor import Cursor
from bonbench.verifiers.reading.spelling import FUNCTIONS, words
from bonbench.verifiers.reading.syntax import (
    HALF,
    MINUS_ONE,
    TRIGONOMETRIC,
    Call,
    Const,
    Expr,
    Num,
    Power,
    Product,
    Sum,
    Sym,
    depth,
    negate,
)
from bonbench.verifiers.reading.tokens import Token, Unreadable

_GREEK = words(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi chi psi omega "
    "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell hbar"
)
_ACCENTS = words(
    "overline bar vec hat tilde widehat overrightarrow dot ddot underline mathbb mathcal mathbf mathfrak mathscr"
)
_INVERSE = {"arsinh": "arcsinh", "arcosh": "arccosh", "artanh": "arctanh"}
_SPECIAL = {"zeta": "zeta", "Gamma": "gamma"}
_CLOSING = {"(": ")", "[": "]", "{": "}", "\\{": "\\}"}
_MAX_DIGITS = 2000
# Levels of a tree: far below what the interpreter recurses through.
_MAX_DEPTH = 100


def parse(tokens: Sequence[Token]) -> tuple[Expr, int]:
    """The expression that ``tokens`` begin with, and how many tokens it takes.

    Raises:
        Unreadable: where they begin with no expression, or with one nested too deeply.
    """
    parser = _Parser(tokens)
    expr = parser.chosen()
    if depth(expr) > _MAX_DEPTH:
        raise Unreadable("nested too deeply")
    return expr, parser.taken


class _Parser(Cursor):
    def __init__(self, tokens: Sequence[Token]) -> None:
        super().__init__(tokens)
        self.bars = 0  # open | … |

    def chosen(self) -> Expr:
        """A sum, or the binomial coefficient ``n \\choose k``."""
        above = self.sum()
        if self.peek() != "\\choose":
            return above
        self.take()
        return Call("binomial", (above, self.sum()))

    def sum(self) -> Expr:
        terms = [self.product()]
        while self.peek() in ("+", "-") and self.peek():
            sign = self.take().text
            term = self.product()
            terms.append(term if sign == "+" else negate(term))
        return terms[0] if len(terms) == 1 else Sum(tuple(terms))

    def product(self) -> Expr:
        if self.peek() in ("+", "-") and self.peek():
            sign = self.take().text
            rest = self.product()
            return rest if sign == "+" else negate(rest)
        factors = [self.factor()]
        while True:
            op = self.peek()
            if op in ("\\cdot", "\\times", "*"):
                self.take()
                factors.append(self.signed_factor())
            elif op in ("/", "\\div", ":"):
                if op == "/" and self.kind(1) == "word":
                    break
                self.take()
                factors.append(Power(self.signed_factor(), MINUS_ONE))
            elif self.starts_factor():
                mixed = self.mixed_number(factors[-1])
                if mixed is None:
                    factors.append(self.factor())
                else:
                    factors[-1] = mixed
            else:
                break
        return factors[0] if len(factors) == 1 else Product(tuple(factors))

    def signed_factor(self) -> Expr:
        if self.peek() in ("+", "-") and self.peek():
            sign = self.take().text
            rest = self.signed_factor()
            return rest if sign == "+" else negate(rest)
        return self.factor()

    def mixed_number(self, whole: Expr) -> Expr | None:
        """``1\\frac{4}{5}`` or ``1 4/5``, whose whole part has just been read; None where it is a product."""
        start = self.position
        if not (isinstance(whole, Num) and self.kind(-1) == "num" and whole.value.denominator == 1):
            return None
        part: Fraction | None = None
        if self.peek() == "\\frac":
            part = _proper_fraction(self.atom())
        elif self.kind() == "num" and self.peek(1) == "/" and self.kind(2) == "num":
            above, _, below = (self.take().text for _ in range(3))
            if above.isdigit() and below.isdigit() and 0 < int(above) < int(below):
                part = Fraction(int(above), int(below))
        if part is None:
            self.position = start
            return None
        return self.postfixed(Num(whole.value + part))

    def starts_factor(self) -> bool:
        text, kind = self.peek(), self.kind()
        if kind in ("num", "let"):
            return True
        if kind == "op":
            return text in ("(", "[", "{") or (text == "|" and not self.bars)
        if kind == "cmd":
            name = text[1:]
            return (
                name in FUNCTIONS or name in _GREEK or name in _ACCENTS
                or name in ("frac", "sqrt", "binom", "pi", "infty", "lfloor", "lceil", "circ", "angle", "triangle")
            )  # fmt: skip
        return False

    def factor(self) -> Expr:
        return self.postfixed(self.atom())

    def postfixed(self, base: Expr) -> Expr:
        """``base`` with the powers, factorials, primes and signs that follow it."""
        while True:
            op = self.peek()
            if op == "^":
                self.take()
                base = self.powered(base)
            elif op == "!":
                self.take()
                double = self.peek() == "!" and not isinstance(base, Call)
                if double:
                    self.take()
                base = Call("factorial2" if double else "factorial", (base,))
            elif op == "%":
                self.take()
                base = Product((base, Const("percent")))
            elif op == "'" and isinstance(base, Sym):
                self.take()
                base = Sym(base.name + "'")
            elif op == "\\circ":
                self.take()
                base = Product((base, Const("degree")))
            else:
                return base

    def powered(self, base: Expr) -> Expr:
        if self.position >= len(self.tokens):
            return base  # a dangling ^: the superscript is lost
        if self.peek() == "\\circ":
            self.take()
            return Product((base, Const("degree")))
        if self.peek() == "{" and self.peek(1) in ("\\circ", "o") and self.peek(2) == "}":
            self.position += 3
            return Product((base, Const("degree")))
        if self.peek() == "{" and self.kind(1) in ("word", "let") and self.suffix_ordinal():
            return base
        if self.kind() == "word" and self.tokens[self.position].text in ("st", "nd", "rd", "th"):
            self.take()
            return base
        if self.peek() == "'":
            self.take()
            return Sym(base.name + "'") if isinstance(base, Sym) else base
        if self.peek() == "{" and self.peek(1) == "'":
            primes = "".join(t.text for t in self.argument_tokens())
            return Sym(base.name + primes) if isinstance(base, Sym) and not primes.strip("'") else base
        exponent = self.argument(signed=True)
        if self.peek() == "^" and self.peek(1) not in ("\\circ", "'", "{"):
            self.take()
            exponent = self.powered(exponent)  # 2^3^2 is 2^9
        return Power(base, exponent)

    def suffix_ordinal(self) -> bool:
        end = self.position + 1
        letters = ""
        while end < len(self.tokens) and self.tokens[end].kind in ("word", "let"):
            letters += self.tokens[end].text
            end += 1
        if letters in ("st", "nd", "rd", "th") and end < len(self.tokens) and self.tokens[end].text == "}":
            self.position = end + 1
            return True
        return False

    def argument(self, signed: bool = False, digit: bool = False) -> Expr:
        """A braced group, or one token; with ``digit`` a bare number gives up its first digit only."""
        if self.peek() == "{":
            return self.group("{")
        if signed and self.peek() in ("+", "-") and self.peek():
            sign = self.take().text
            rest = self.argument(signed=True)
            return rest if sign == "+" else negate(rest)
        if self.kind() == "num":
            text = self.peek()
            if digit and len(text) > 1 and text.isdigit():
                self.cut_number(1)
            return self.number()
        return self.atom()

    def group(self, opening: str) -> Expr:
        self.expect(opening)
        bars, self.bars = self.bars, 0
        inner = self.chosen()
        self.bars = bars
        if self.position >= len(self.tokens):
            return inner  # the closing bracket was cut off
        self.expect(_CLOSING[opening])
        return inner

    def atom(self) -> Expr:
        kind, text = self.kind(), self.peek()
        if kind == "num":
            return self.number()
        if kind == "let":
            self.take()
            if text == "e" and self.peek() != "_":
                return Const("e")
            if text == "i" and self.peek() != "_":
                return Const("i")
            return Sym(text + self.subscript())
        if kind == "op":
            if text in ("(", "[", "{"):
                return self.group(text)
            if text == "|":
                return self.absolute()
        if kind == "cmd":
            return self.command(text[1:])
        raise Unreadable(f"no expression at {text!r}")

    def number(self) -> Expr:
        text = self.take().text
        if len(text) > _MAX_DIGITS:
            raise Unreadable("number too long")
        if "." in text and self.peek() in ("\\overline", "\\bar", "\\dot"):
            return self.repeating(text)
        return Num(Fraction(text))

    def repeating(self, text: str) -> Expr:
        """``0.1\\overline{6}``; dots over single digits mark a one-digit period."""
        self.take()
        inner = self.argument_tokens()
        period = "".join(t.text for t in inner)
        if not period.isdigit() or len(period) > 100:
            raise Unreadable("no repeating decimal")
        lead = Fraction(text.rstrip(".")) if text.strip(".") else Fraction(0)
        places = len(text.partition(".")[2])
        return Num(lead + Fraction(int(period), (10 ** len(period) - 1) * 10**places))

    def subscript(self) -> str:
        if self.peek() != "_":
            return ""
        self.take()
        return "_" + "".join(t.text for t in self.argument_tokens())

    def absolute(self) -> Expr:
        self.expect("|")
        self.bars += 1
        inner = self.sum()
        self.bars -= 1
        self.expect("|")
        return Call("abs", (inner,))

    def command(self, name: str) -> Expr:
        self.take()
        if name == "frac":
            above = self.argument(digit=True)
            return Product((above, Power(self.argument(digit=True), MINUS_ONE)))
        if name == "sqrt":
            index: Expr = Num(Fraction(2))
            if self.peek() == "[":
                index = self.group("[")
            radicand = self.argument() if self.peek() != "(" else self.group("(")
            return Power(radicand, Power(index, MINUS_ONE))
        if name == "binom":
            above = self.argument(digit=True)
            return Call("binomial", (above, self.argument(digit=True)))
        if name in ("pi", "infty"):
            return Const(name)
        if name == "emptyset":
            return Sym(name)
        if name == "circ":
            return Const("degree")
        if name in ("lfloor", "lceil"):
            inner = self.sum()
            self.expect("\\r" + name[1:])
            return Call("floor" if name == "lfloor" else "ceil", (inner,))
        if name in _SPECIAL and self.peek() == "(":
            return Call(_SPECIAL[name], (self.group("("),))
        if name in _GREEK:
            return Sym(name + self.subscript())
        if name in ("angle", "triangle"):
            rest = [self.take().text for _ in range(3) if self.kind() == "let"]
            return Sym(name + "".join(rest))
        if name in _ACCENTS:
            inside = "".join(t.text for t in self.argument_tokens())
            if name == "overline" and len(inside) == 2 and inside.isupper():
                inside = "".join(sorted(inside))  # a segment has no direction
            return Sym(f"{name}({inside})" + self.subscript())
        if name in FUNCTIONS:
            return self.function(_INVERSE.get(name, name))
        raise Unreadable(f"\\{name} is not read")

    def function(self, name: str) -> Expr:
        base: Expr | None = None
        power: Expr | None = None
        while self.peek() in ("_", "^") and self.peek():
            if self.take().text == "_":
                base = self.argument()
            else:
                power = self.argument(signed=True)
        if name in ("gcd", "lcm", "max", "min"):
            return Call(name, tuple(self.arguments()))
        if self.peek() == "(":
            argument = self.group("(")
        elif self.peek() == "{":
            argument = self.group("{")
        elif self.peek() == "[":
            argument = self.group("[")
        else:
            argument = self.function_argument()
        if name == "sqrt":
            return Power(argument, HALF)
        if name == "cis":
            return Sum((Call("cos", (argument,)), Product((Const("i"), Call("sin", (argument,))))))
        if name == "exp":
            return Power(Const("e"), argument)
        if name in ("log", "ln", "lg"):
            base = base or (Const("e") if name == "ln" else Num(Fraction(10)))
            call = Call("log", (argument, base))
        else:
            call = Call(name, (argument,))
        if power == MINUS_ONE and name in TRIGONOMETRIC:
            return Call("arc" + name, (argument,))
        return call if power is None else Power(call, power)

    def function_argument(self) -> Expr:
        """``\\sin 2x``: the factors up to an operator or another function."""
        if self.peek() == "-":
            self.take()
            return negate(self.function_argument())
        factors = [self.factor()]
        while self.starts_factor() and self.peek() not in ("(", "[") and self.peek()[1:] not in FUNCTIONS:
            factors.append(self.factor())
        return factors[0] if len(factors) == 1 else Product(tuple(factors))

    def arguments(self) -> Iterator[Expr]:
        self.expect("(")
        yield self.sum()
        while self.peek() == ",":
            self.take()
            yield self.sum()
        self.expect(")")


def _proper_fraction(expr: Expr) -> Fraction | None:
    """The value of ``\\frac{a}{b}`` with whole numbers 0 < a < b."""
    match expr:
        case Product((Num(above), Power(Num(below), Num(minus)))) if (
            minus == -1 and above.denominator == below.denominator == 1 and 0 < above < below
        ):
            return above / below
    return None
