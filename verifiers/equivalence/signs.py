"""Where a formula is meant: which of its symbols must be positive for it to be real."""

from __future__ import annotations

from bonbench.verifiers.equivalence import exact
from bonbench.verifiers.equivalence.polynomials import ONE, Polynomial
from bonbench.verifiers.reading.syntax import Call, Expr, Power, Product, Sum, Sym

#: The name of a symbol that is positive wherever it stands.
POSITIVE = "positive"


def positive_symbols(expr: Expr) -> frozenset[str]:
    r"""Symbols that stand with an odd power in a product under an even root, or in a logarithm.

    ``\sqrt{k/m}`` and ``\ln x`` are written for positive k, m and x. ``\sqrt{x^2}`` and ``\sqrt{1 - x}`` say nothing
    of the sign of x.
    """
    match expr:
        case Power(base, exponent):
            index = exact.rational(exponent)
            under_root = index is not None and index.denominator % 2 == 0
            inner = positive_symbols(base) | positive_symbols(exponent)
            return inner | _odd_symbols(base) if under_root else inner
        case Call(name, args):
            of_arguments = frozenset[str]().union(*map(positive_symbols, args))
            return of_arguments.union(*map(_odd_symbols, args)) if name == "log" else of_arguments
        case Sym(name) if name == POSITIVE:
            return frozenset((name,))
        case Sum(parts) | Product(parts):
            return frozenset[str]().union(*map(positive_symbols, parts))
    return frozenset()


def _odd_symbols(radicand: Expr) -> frozenset[str]:
    """Symbols with an odd power in the factors of ``radicand`` that are no sums."""
    try:
        quotient = exact.canonical(radicand)
    except ArithmeticError:
        return frozenset()
    parts = (quotient.above, quotient.below) if quotient.below != ONE else (quotient.above,)
    return frozenset[str]().union(*map(_odd_factors, parts))


def _odd_factors(polynomial: Polynomial) -> frozenset[str]:
    if len(polynomial) != 1:
        return frozenset()
    ((monomial, coefficient),) = polynomial.items()
    if coefficient < 0:
        return frozenset()
    return frozenset(atom[2:] for atom, power in monomial if atom[0] == "s" and power.numerator % 2)
