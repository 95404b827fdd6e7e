"""`bonbench list NAME` can say what every parameter means: of samplers, scorers, trainers and reward models."""

from __future__ import annotations

from typing import get_args

import pytest

from harness.core.registry import available, find
from harness.core.terms import Kind

COMPONENTS = [
    (kind, name)
    for kind in get_args(Kind)
    if kind in ("generators", "token_scorers", "trainers", "reward_models")
    for name in available(kind)
    if available(kind)[name].value.startswith(("bonbench.generators", "bonbench.reward_models"))
]


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_every_parameter_has_a_description(kind: Kind, name: str) -> None:
    fields = find(kind, name).Params.model_fields
    assert not [field for field, info in fields.items() if not info.description]
