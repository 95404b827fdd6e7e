"""Which generator answers what a reward model asks about responses."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from harness.core.components import Generator
from harness.core.errors import UserError
from harness.core.verifications import Verifications
from harness.experiment.entries import build
from harness.experiment.spec import Pool, Spec

#: What a generator that solves problems says around them, and would say around questions too.
_AROUND_PROBLEMS = ("system_prompt", "user_template", "template", "few_shot")


def verifying_generator(
    asked: Verifications,
    name: str,
    where: str,
    generators: Mapping[str, Spec[Generator[Any]]],
    solvers: Collection[str],
    models: Mapping[str, str],
    pool: Pool,
) -> Spec[Generator[Any]]:
    """The generator that answers what is asked: one of the ``generators``, the one that an entry describes, or
    `transformers` with a model.

    Args:
        name: what it is called where it is none of the generators.
        where: the place that names it, for error lines.
        solvers: the generators that are given problems to solve.
        models: what a name means where a model is asked for (name -> folder or hub id).
        pool: the resources of one that is none of the generators, where its entry does not say.

    Raises:
        UserError: for a generator that cannot answer, and for one that would ask for a solution.
    """
    if isinstance(asked.generator, str) and asked.generator in generators:
        spec = generators[asked.generator]
        for field in _AROUND_PROBLEMS:
            replaced = field == "system_prompt" and asked.system_prompt is not None
            if spec.name in solvers and getattr(spec.params, field, None) and not replaced:
                raise UserError(
                    f"{where}: {spec.name} says its {field} around every prompt, which is for problems to solve: give "
                    "the judge an entry of its own under generators:, with evaluate: false"
                )
    else:
        inline = not isinstance(asked.generator, str)
        entry = asked.generator if inline else {"type": "transformers", "model": asked.generator}
        assert isinstance(entry, Mapping)
        spec = build("generators", name, entry, where, models, pool)
    if asked.begins and not spec.cls.recorded and spec.cls.complete is Generator.complete:
        raise UserError(
            f"{where}: {spec.type_} cannot go on from the beginning of a reply ({asked.begins.strip()!r}), which "
            f"{asked.label} asks for: name a transformers or vllm generator"
        )
    if asked.weighing is not None and spec.cls.weigh is Generator.weigh:
        raise UserError(
            f"{where}: {spec.type_} does not tell how probable an answer is, which {asked.label} asks for: name a "
            "transformers or vllm generator, or read the text with readout: yes-no"
        )
    if asked.system_prompt is None or spec.cls.recorded:
        return spec
    if "system_prompt" not in type(spec.params).model_fields:
        raise UserError(f"{where}: {spec.type_} takes no system_prompt, which {asked.label} asks for")
    params = spec.params.model_copy(update={"system_prompt": asked.system_prompt})
    return dataclasses.replace(spec, params=params)
