r"""Conventions of judges: what they are asked, and how their verdict is read.

None was checked against published weights. Where a judge is a published model, its comment says where the words are
from, and in what the convention here differs from the publication.

The text of a template is in the keys of the replies to it. It is in no key of what is read at the first token: whoever
changes ``genrm`` raises the ``revision`` of reward model and trainer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_JUDGE = r"""{% if step is defined %}
Here are a problem and the first {{ step }} steps of a proposed solution.
Decide whether the last one of these steps is correct.

Problem:
{{ problem }}

{% for text in steps[:step] %}
Step {{ loop.index }}: {{ text | unnumbered }}

{% endfor %}
Check step {{ step }}. It is correct if it follows from what stands before it, even if the solution is not finished.
{% else %}
Here are a problem and a proposed solution. Decide whether the solution is correct.

Problem:
{{ problem }}

Proposed solution:
{{ response }}

Check the solution step by step. It is correct if its final answer is correct.
{% endif %}
End with \boxed{yes} if it is correct, and with \boxed{no} if it is not."""

_GRADER = r"""Here are a problem and a proposed solution. Grade the solution.

Problem:
{{ problem }}

Proposed solution:
{{ response }}

Check the solution step by step.
Then give it a whole number from 0 (certainly wrong) to 10 (certainly right), in the form \boxed{7}."""

_PAIRWISE = r"""Here are a problem and two proposed solutions. Decide which solution is more likely to be correct.

Problem:
{{ problem }}

Solution A:
{{ responses[0] }}

Solution B:
{{ responses[1] }}

Check both solutions step by step. Their order means nothing.
End with \boxed{A} or \boxed{B}, or with \boxed{tie} if you cannot prefer one."""

_LISTWISE = r"""Here are a problem and {{ responses | length }} proposed solutions.
Rank the solutions, the one that is most likely to be correct first.

Problem:
{{ problem }}

{% for text in responses %}
Solution {{ loop.index }}:
{{ text }}

{% endfor %}
Check each solution. Their order means nothing.
End with the numbers of all solutions, the best one first, in the form \boxed{2, 3, 1}."""

# GenRM without reasoning (Zhang et al. 2024, "Generative Verifiers: Reward Modeling as Next-Token Prediction",
# arXiv 2408.15240): the problem, the solution and this question, answered by a token. The layout around the question is
# ours; no weights were published.
_GENRM = """{{ problem }}

{{ response }}

Is the answer correct (Yes/No)?"""

# GenRM-CoT (the same paper): it reasons, and ends with this sentence. The paper fine-tunes a model to do so; here
# a model is told to.
_GENRM_COT = """{{ problem }}

{{ response }}

Let's verify the solution step by step. End with the sentence "Verification: Is the answer correct (Yes/No)? X",
in which X is Yes or No."""

# ThinkPRM (Khalifa et al. 2025, "Process Reward Models That Think", arXiv 2504.16828), after the code in
# mukhal/ThinkPRM and the cards of launch/ThinkPRM-1.5B, -7B and -14B: numbered steps, one a line, and a reply that
# begins with "Let's verify step by step:", has a box for each step in its thoughts, and says after them whether the
# solution is correct. (The cards' question has no full stop at its end, the code's has.) The publication averages the
# probability of "Yes" there over several replies. The code's labels of steps are read from the text, with ``readout:
# labels``.
_THINKPRM = (
    "You are given a math problem and a proposed step-by-step solution:\n\n"
    "[Math Problem]\n\n"
    "{{ problem }}\n\n"
    "[Solution]\n\n"
    "{% for step in steps %}\n"
    'Step {{ loop.index }}: {{ step | unnumbered | replace("\\n", " ") }}\n'
    "{% endfor %}\n\n"
    "Review and critique each step in the proposed solution to determine whether each step is correct. If the solution "
    "is incomplete, only verify the provided steps."
)

# GenPRM (Zhao et al. 2025, "GenPRM: Scaling Test-Time Compute of Process Reward Models via Generative Reasoning",
# arXiv 2504.00891), after the code in RyanLiu112/GenPRM: its system prompt and its verdict, \boxed{Yes} or \boxed{No},
# for one paragraph at a time. The publication asks in turns, each with the replies to the earlier ones, and runs the
# code that the model writes; here each step is asked about in a turn of its own, and no code is run.
_GENPRM = """Question: {{ problem }}

{% for text in steps[:step] %}
{{ text }}

{% endfor %}"""
_GENPRM_SYSTEM = "You are a math teacher. Your task is to review and critique the paragraphs in solution step by step."

#: What an entry says with a preset, unless the entry says otherwise.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "judge": {"readout": "yes-no", "per": "response"},
    "grader": {"readout": "grade", "per": "response"},
    "pairwise": {"readout": "choice"},
    "listwise": {"readout": "ranking"},
    "genrm": {"readout": "first-token", "per": "response"},
    "genrm-cot": {"readout": "p-yes", "per": "response"},
    "thinkprm": {
        "readout": "p-yes",
        "per": "response",
        "begins": "\nLet's verify step by step:",
        "max_tokens": 4096,
    },
    "genprm": {"readout": "p-yes", "per": "step", "system": _GENPRM_SYSTEM, "temperature": 0.6, "top_p": 0.95},
}

#: The templates of the presets.
TEMPLATES: Mapping[str, str] = {
    "judge": _JUDGE,
    "grader": _GRADER,
    "pairwise": _PAIRWISE,
    "listwise": _LISTWISE,
    "genrm": _GENRM,
    "genrm-cot": _GENRM_COT,
    "thinkprm": _THINKPRM,
    "genprm": _GENPRM,
}
