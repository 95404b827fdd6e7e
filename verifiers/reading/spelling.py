"""Tables of spellings: which characters, commands and words stand for the same thing."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """The words of ``text``, as a set."""
    return frozenset(text.split())


#: Characters that are another way to write LaTeX.
CHARACTERS = str.maketrans({
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "﹣": "-", "×": r"\times ", "⋅": r"\cdot ", "·": r"\cdot ",
    "∙": r"\cdot ", "•": r"\cdot ", "∗": "*", "÷": r"\div ", "∕": "/", "⁄": "/", "π": r"\pi ", "θ": r"\theta ",
    "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "δ": r"\delta ", "λ": r"\lambda ", "μ": r"\mu ", "φ": r"\phi ",
    "ϕ": r"\phi ", "ω": r"\omega ", "ρ": r"\rho ", "σ": r"\sigma ", "τ": r"\tau ", "ε": r"\epsilon ", "Δ": r"\Delta ",
    "∞": r"\infty ", "∪": r"\cup ", "∩": r"\cap ", "∅": r"\emptyset ", "∈": r"\in ", "∉": r"\notin ", "≤": r"\le ",
    "≥": r"\ge ", "⩽": r"\le ", "⩾": r"\ge ", "≦": r"\le ", "≧": r"\ge ", "≠": r"\ne ", "≈": r"\approx ",
    "≡": r"\equiv ", "±": r"\pm ", "∓": r"\mp ", "°": r"^{\circ}", "º": r"^{\circ}", "˚": r"^{\circ}",
    "′": "'", "’": "'", "‘": "'", "∣": "|", "∶": ":", "：": ":", "，": ",", "；": ";", "（": "(", "）": ")",
    "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}",
    "∖": r"\setminus ", "⟨": r"\langle ", "⟩": r"\rangle ", "〈": r"\langle ", "〉": r"\rangle ", "∠": r"\angle ",
    "…": r"\ldots ", "⋯": r"\cdots ", "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}",
    "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "⅕": r"\frac{1}{5}", "⅙": r"\frac{1}{6}", "⅛": r"\frac{1}{8}",
    "€": r"\$", "£": r"\$", "¥": r"\$", "₹": r"\$", "₩": r"\$", "₽": r"\$", "₺": r"\$", "₫": r"\$", "฿": r"\$",
    "⊥": r"\perp ", "∥": r"\parallel ", "△": r"\triangle ", "⅖": r"\frac{2}{5}", "⅗": r"\frac{3}{5}",
    "⅘": r"\frac{4}{5}", "⅚": r"\frac{5}{6}", "⅜": r"\frac{3}{8}", "⅝": r"\frac{5}{8}", "⅞": r"\frac{7}{8}",
    "元": r"\$", "円": r"\$", "원": r"\$", "¢": r"\$",
    "“": '"', "”": '"', "„": '"', "«": '"', "»": '"',
    "Ω": r"\Omega ", "％": "%", "\u00a0": " ",
})  # fmt: skip
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
#: Commands whose synonym is read instead.
SYNONYMS = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "dbinom": "binom", "tbinom": "binom", "leq": "le", "geq": "ge",
    "leqslant": "le", "geqslant": "ge", "leqq": "le", "geqq": "ge", "lt": "<", "gt": ">", "neq": "ne",
    "to": "rightarrow", "pmod": "mod", "bmod": "mod", "pod": "mod",
    "varnothing": "emptyset", "lbrace": "{", "rbrace": "}", "lbrack": "[", "rbrack": "]", "lvert": "|", "rvert": "|",
    "vert": "|", "mid": "|", "colon": ":", "degree": "circ", "ast": "*", "dots": "ldots", "implies": "Rightarrow",
    "Longrightarrow": "Rightarrow", "infin": "infty", "varphi": "phi", "varepsilon": "epsilon", "wedge": "land",
    "bigcup": "cup", "cupdot": "cup", "sqcup": "cup", "backslash": "setminus", "smallsetminus": "setminus",
    "vartheta": "theta", "varrho": "rho", "varsigma": "sigma", "nicefrac": "frac", "sfrac": "frac", "flatfrac": "frac",
    "exponentialE": "e", "imaginaryI": "i", "prime": "'", "textdollar": "$", "textdegree": "circ",
}  # fmt: skip
#: Commands that only change the looks: dropped.
LAYOUT = words(
    "left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr middle displaystyle "
    "textstyle scriptstyle limits nolimits quad qquad hspace enspace thinspace negthinspace hfill hline nonumber notag "
    "boldsymbol bm mathbf bf it rm mathit mathsf mathtt mathcal mathnormal boxed fbox pmb ensuremath allowbreak "
    "phantom large Large small normalsize centering noindent bold tiny"
)
#: Commands whose argument is plain language.
TEXT_COMMANDS = words(
    "text mbox textbf textit textrm textnormal textsf texttt mathrm operatorname hbox emph textup textsl"
)
#: Named functions, as commands; plain words of these names mean the same.
FUNCTIONS = words(
    "sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos arctan arccot arcsec arccsc ln log exp lg "
    "arsinh arcosh artanh arctanh cis arg sgn gcd lcm max min sqrt det floor ceil abs"
)
#: Plain words that mean a command.
PLAIN_COMMANDS = {
    **{name: "\\" + name for name in FUNCTIONS},
    "pi": r"\pi", "theta": r"\theta", "infinity": r"\infty", "infty": r"\infty", "inf": r"\infty", "oo": r"\infty",
    "asin": r"\arcsin", "acos": r"\arccos", "atan": r"\arctan", "alpha": r"\alpha", "beta": r"\beta",
    "gamma": r"\gamma", "lambda": r"\lambda", "phi": r"\phi", "emptyset": r"\emptyset", "degrees": r"\circ",
    "degree": r"\circ", "deg": r"\circ", "union": r"\cup", "leq": r"\le", "geq": r"\ge",
    "frac": r"\frac", "PI": r"\pi", "Pi": r"\pi", "mod": r"\mod", "modulo": r"\mod",
}  # fmt: skip
#: Words shorter than four letters, which are else read as products of symbols.
SHORT_WORDS = words(
    "and or is if to for of per no an not are by we so it he she its the any all yes one two six ten odd men day days "
    "pct red box boy sum was has had our let get but can may his her how who why you use set via"
)
#: Words of two letters that are words only before another word or a number: "at least", but at^2.
PREPOSITIONS = words("at up on by as in to")
#: Months and days cut short.
SHORT_NAMES = words("Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Mon Tue Tues Wed Thu Thur Thurs Fri Sat Sun")
MONTHS = words("January February March April May June July August September October November December")
