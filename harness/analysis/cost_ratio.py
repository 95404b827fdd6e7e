"""How many times the development of a Math-Shepherd costs that of a CE reward model, and what it hangs on.

Everything but the labels is as counted. The labels, completions of the rollouts from the end of every step but the
last, grow with the steps per response and with the completions per step; what they would cost with others follows
from what they did cost: prefixes in proportion to the steps less one, generated tokens also to the completions. That
holds where more steps are a finer division of the same text, since completions then start, on average, where they did.
"""

from __future__ import annotations

from itertools import product

import pandas as pd

from harness.analysis.costs import CONVENTIONS, DEVELOPMENT, by_scale
from harness.analysis.evaluation import Evaluation

LABELLED, YARDSTICK = "Math-Shepherd", "CE"
_STEPS, _COMPLETIONS = (5, 10, 20), (4, 8, 16)


def cost_ratio(evaluation: Evaluation) -> pd.DataFrame:
    """A row per convention, responses per problem, steps per response and completions per step.

    Columns convention, responses, steps, completions, counted (whether these are the run's own), FLOPs of
    each item and ``total`` for Math-Shepherd and, with ``ce_`` before, for CE; ratio. Empty without both.
    """
    entries = by_scale(evaluation.trainings)
    items = evaluation.costs.set_index(["reward_model", "item"])
    rows = []
    for responses in sorted(set(entries.get(LABELLED, {})) & set(entries.get(YARDSTICK, {}))):
        labelled, yardstick = (entries[method][responses] for method in (LABELLED, YARDSTICK))
        train = evaluation.results.manifest.reward_models[labelled].train or {}
        facts = train.get("facts", {})
        if not facts.get("n_responses") or not train.get("completions") or (labelled, "labels") not in items.index:
            continue
        steps, completions = facts["n_steps"] / facts["n_responses"], int(train["completions"])
        if steps <= 1:
            continue  # nothing was completed
        for convention in CONVENTIONS:
            ours, theirs = (
                {item: float(items[convention].get((model, item), 0.0)) for item in DEVELOPMENT}
                for model in (labelled, yardstick)
            )
            read, written = (float(items[kind][labelled, "labels"]) for kind in ("prompt_tokens", "completion_tokens"))
            # In the plain convention a prefix costs nothing to those who generate from it.
            generated = 1.0 if convention == "plain_flops" else written / (read + written)
            for s, k in product(sorted({steps, *_STEPS}), sorted({completions, *_COMPLETIONS})):
                labels = ours["labels"] * (s - 1) / (steps - 1) * (1 - generated + generated * k / completions)
                parts = ours | {"labels": labels}
                total, ce_total = sum(parts.values()), sum(theirs.values())
                rows.append(
                    {
                        "convention": convention,
                        "responses": responses,
                        "steps": s,
                        "completions": k,
                        "counted": s == steps and k == completions,
                        **parts,
                        "total": total,
                        **{f"ce_{item}": flops for item, flops in theirs.items()},
                        "ce_total": ce_total,
                        "ratio": total / ce_total,
                    }
                )
    columns = ["convention", "responses", "steps", "completions", "counted", *DEVELOPMENT, "total"]
    return pd.DataFrame(rows, columns=[*columns, *(f"ce_{item}" for item in DEVELOPMENT), "ce_total", "ratio"])
