"""Process reward models with a head of their own: Qwen2.5-Math-PRM, Skywork-o1-Open-PRM, token classifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from bonbench.reward_models.hidden_state_model import CONVENTION, Convention, HiddenStateParams, HiddenStateRewardModel
from bonbench.reward_models.text.layouts import qwen_prm, skywork_prm, step_ends
from bonbench.reward_models.vllm.params import CLASSIFIER
from harness.core.components import OwnAggregation
from harness.core.errors import UserError
from harness.core.terms import ScoreType

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from bonbench.reward_models.lm.reader import HiddenStateReader
    from bonbench.reward_models.reader import Reader


class HeadPRMParams(HiddenStateParams):
    """Parameters of :class:`HeadPRM`."""

    convention: Literal["token-classifier", "qwen2.5-math-prm", "skywork-o1-prm"] | None = Field(
        None, description=CONVENTION
    )
    aggregation: OwnAggregation = None


class HeadPRM(HiddenStateRewardModel[HeadPRMParams]):
    """A step's reward is what the model's head makes of the hidden state at the step's end.

    ``token-classifier`` is any `AutoModelForTokenClassification` of a decoder. With two labels the reward is the
    probability of the second ("good step"). With one it is the output itself: a value head, say of a verifier that was
    trained to predict whether the final answer will be right. The published models' heads are in
    :mod:`reward_models.lm.heads`. The score of a response is by default the lowest of its steps' rewards.
    """

    Params = HeadPRMParams
    score_type: ScoreType = "probability"
    output_head = False
    family = "head-prm"
    conventions: ClassVar = {
        "token-classifier": Convention(step_ends, "transformers:AutoModelForTokenClassification", CLASSIFIER),
        "qwen2.5-math-prm": Convention(
            qwen_prm, "bonbench.reward_models.lm.heads:QwenProcessRewardModel", "Qwen2ForProcessRewardModel"
        ),
        "skywork-o1-prm": Convention(skywork_prm, "bonbench.reward_models.lm.heads:SkyworkProcessRewardModel"),
    }
    markers = ("<extra_0>",)

    def __init__(self, params: HeadPRMParams, name: str = "", reader: Reader | None = None) -> None:
        super().__init__(params, name, reader)
        if self.convention == "token-classifier":
            if self.reader.config.num_labels > 2:
                raise UserError(f"{params.model} has {self.reader.config.num_labels} labels: one or two are expected")
            if self.reader.config.num_labels == 1:
                self.score_type = "unbounded"

    def _loaded(self) -> HiddenStateReader:
        reader = super()._loaded()
        if self.convention == "token-classifier" and not hasattr(reader.lm, "score"):
            raise UserError(f"{self.params.model}: {type(reader.lm).__name__} is not a decoder")
        return reader

    def _rewards(self, lm: PreTrainedModel, hidden: torch.Tensor) -> torch.Tensor:
        if self.convention != "token-classifier":
            return lm.rewards(hidden)  # type: ignore[no-any-return]
        outputs: torch.Tensor = lm.score(hidden).float()
        return outputs[:, 0] if outputs.shape[-1] == 1 else outputs.softmax(dim=-1)[:, 1]
