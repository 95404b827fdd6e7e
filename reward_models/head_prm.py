"""Process reward models with a head of their own: Qwen2.5-Math-PRM, Skywork-o1-Open-PRM, token classifiers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from bonbench.reward_models.hidden_state_model import CONVENTION, Convention, HiddenStateParams, HiddenStateRewardModel
from bonbench.reward_models.text.layouts import Format, qwen_prm, reasonflux_prm, skywork_prm, step_ends, trl
from bonbench.reward_models.vllm.params import CLASSIFIER
from harness.core.errors import UserError
from harness.core.params import OwnAggregation, StepsParams, Unkeyed
from harness.core.terms import ScoreType

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from bonbench.reward_models.lm.reader import HiddenStateReader
    from bonbench.reward_models.reader import Reader


_TOKEN_CLASSIFIER = ("transformers:AutoModelForTokenClassification", CLASSIFIER)


class HeadPRMParams(HiddenStateParams, StepsParams):
    """Parameters of :class:`HeadPRM`."""

    convention: Literal["token-classifier", "qwen2.5-math-prm", "reasonflux-prm", "skywork-o1-prm", "trl"] | None = (
        Field(None, description=CONVENTION)
    )
    separator: Annotated[str, Unkeyed(("\n",))] = Field(
        "\n", min_length=1, description="what stands after each step, where the convention is trl: its step_separator"
    )
    aggregation: OwnAggregation = None


class HeadPRM(HiddenStateRewardModel[HeadPRMParams]):
    """A step's reward is what the model's head makes of the hidden state at the step's end.

    ``token-classifier`` is any `AutoModelForTokenClassification` of a decoder. With two labels the reward is the
    probability of the second ("good step"). With one it is the output itself: a value head, say of a verifier that was
    trained to predict whether the final answer will be right. ``trl`` is such a model too, as TRL's ``PRMTrainer``
    trains it, in a layout of its own. The published models' heads are in :mod:`reward_models.lm.heads`. The score of a
    response is by default the lowest of its steps' rewards.
    """

    Params = HeadPRMParams
    score_type: ScoreType = "probability"
    output_head = False
    family = "head-prm"
    conventions: ClassVar = {
        "token-classifier": Convention(step_ends, *_TOKEN_CLASSIFIER, is_asked=True),
        "qwen2.5-math-prm": Convention(
            qwen_prm, "bonbench.reward_models.lm.heads:QwenProcessRewardModel", "Qwen2ForProcessRewardModel"
        ),
        "reasonflux-prm": Convention(
            reasonflux_prm, "bonbench.reward_models.lm.heads:QwenProcessRewardModel", "Qwen2ForProcessRewardModel"
        ),
        "skywork-o1-prm": Convention(skywork_prm, "bonbench.reward_models.lm.heads:SkyworkProcessRewardModel"),
        "trl": Convention(partial(trl, separator="\n"), *_TOKEN_CLASSIFIER),
    }
    markers = ("<extra_0>",)

    def __init__(self, params: HeadPRMParams, name: str = "", reader: Reader | None = None) -> None:
        super().__init__(params, name, reader)
        if self._is_token_classifier:
            if self.reader.config.num_labels > 2:
                raise UserError(f"{params.model} has {self.reader.config.num_labels} labels: one or two are expected")
            if self.reader.config.num_labels == 1:
                self.score_type = "unbounded"

    @classmethod
    def check(cls, params: HeadPRMParams) -> None:
        """Raise :class:`UserError` for a separator that nothing reads."""
        super().check(params)
        if "separator" in params.model_fields_set and cls._convention(params) != "trl":
            raise UserError("separator: it belongs to convention: trl")

    @classmethod
    def _format(cls, params: HeadPRMParams) -> Format:
        if cls._convention(params) == "trl":
            return partial(trl, separator=params.separator)
        return super()._format(params)

    @property
    def _is_token_classifier(self) -> bool:
        return self.conventions[self.convention].model_class == _TOKEN_CLASSIFIER[0]

    def _loaded(self) -> HiddenStateReader:
        reader = super()._loaded()
        if self._is_token_classifier and not hasattr(reader.lm, "score"):
            raise UserError(f"{self.params.model}: {type(reader.lm).__name__} is not a decoder")
        return reader

    def _rewards(self, lm: PreTrainedModel, hidden: torch.Tensor) -> torch.Tensor:
        if not self._is_token_classifier:
            return lm.rewards(hidden)  # type: ignore[no-any-return]
        outputs: torch.Tensor = lm.score(hidden).float()
        return outputs[:, 0] if outputs.shape[-1] == 1 else outputs.softmax(dim=-1)[:, 1]
