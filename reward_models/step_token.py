"""Process reward models that answer each step with one of two tokens: Math-Shepherd, RLHFlow, those trained here."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from bonbench.reward_models.hidden_state_model import CONVENTION, Convention, HiddenStateParams
from bonbench.reward_models.text.layouts import math_shepherd, rlhflow, step_ends
from bonbench.reward_models.two_answers import TwoAnswers
from bonbench.reward_models.vllm.params import CAUSAL_LM
from harness.core.params import OwnAggregation, StepsParams

if TYPE_CHECKING:
    from bonbench.reward_models.reader import Reader

#: The answers "good step" and "bad step". Each must be one token where it stands alone.
ANSWERS = ("+", "-")

_CAUSAL_LM = ("transformers:AutoModelForCausalLM", CAUSAL_LM)


class StepTokenParams(HiddenStateParams, StepsParams):
    """Parameters of :class:`StepTokenPRM`."""

    convention: Literal["step-end", "math-shepherd", "rlhflow"] | None = Field(None, description=CONVENTION)
    aggregation: OwnAggregation = None


class StepTokenPRM(TwoAnswers[StepTokenParams]):
    """A step's reward is p(+) / (p(+) + p(-)), from the model's next-token probabilities where the step is judged.

    It is judged at its last token (``step-end``), at a tag after it (``math-shepherd``), or where a chat's
    assistant answers it (``rlhflow``): see :mod:`reward_models.text.layouts`. The score of a response is by default
    the lowest of its steps' rewards.
    """

    Params = StepTokenParams
    family = "step-token"
    conventions: ClassVar = {
        "step-end": Convention(step_ends, *_CAUSAL_LM, is_asked=True),
        "math-shepherd": Convention(math_shepherd, *_CAUSAL_LM),
        "rlhflow": Convention(rlhflow, *_CAUSAL_LM),
    }

    def __init__(self, params: StepTokenParams, name: str = "", reader: Reader | None = None) -> None:
        super().__init__(params, name, reader)
        self._check_ids(dict(zip(ANSWERS, self.answers, strict=True)))

    @cached_property
    def answers(self) -> list[int]:
        """Ids of the answers."""
        return [self.encoder.only_token(answer) for answer in ANSWERS]
