"""Low-rank adapters beside frozen weights (LoRA, Hu et al. 2021, arXiv 2106.09685), by PEFT.

What is trained is W + alpha / rank * B A for each linear layer W of the body, and a new head as a whole. B begins at
0, so the training begins with the base. Adapters are float32. Optimizer and checkpoints know of them alone. At the end
they are added to the base's weights as these are stored, not as they were rounded for the training, in one rounding.
"""

from __future__ import annotations

from pathlib import Path

import torch
from peft import LoraConfig, PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import PreTrainedModel

from bonbench.reward_models.lm.body import body
from bonbench.reward_models.training.params import LoraParams
from harness.core.errors import UserError, one_line


class Adapted(PeftModel):  # type: ignore[misc]
    """A model with adapters in it, whose body is where FSDP looks for the body of a model.

    Its last norm and the output head, which is read without a call, are then gathered together.
    """

    base_model_prefix = "body"

    @property
    def body(self) -> torch.nn.Module:
        """The model without its head."""
        below: torch.nn.Module = body(self.get_base_model())
        return below


def with_adapters(model: PreTrainedModel, lora: LoraParams, head: str | None) -> Adapted:
    """The model, frozen, with adapters in its layers.

    Args:
        head: the layer that is trained as a whole, if there is any.

    Raises:
        UserError: when no layer has such a name, or adapters are asked for where none can be.
    """
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # it is only ever divided
        lora_dropout=lora.dropout,
        target_modules=lora.targets if isinstance(lora.targets, str) else list(lora.targets),
        modules_to_save=None if head is None else [head],
    )
    try:
        adapted = Adapted(model, config)
    except ValueError as error:
        raise UserError(f"lora: targets: {one_line(error)}") from error
    config.base_model_name_or_path = ""  # or PEFT asks the hub for the base's vocabulary at every checkpoint
    if isinstance(model.get_output_embeddings(), BaseTunerLayer):
        raise UserError("lora: targets: the output head cannot have an adapter: it is read block by block")
    for weights in adapted.parameters():
        if weights.requires_grad:
            weights.data = weights.data.float()
    return adapted


def adapter_params(model: PeftModel) -> int:
    """Weights of the adapters: they multiply every token. A head over few outputs is left out, as everywhere."""
    return sum(weights.numel() for name, weights in model.named_parameters() if "lora_" in name)


def merged(base: PreTrainedModel, adapters: Path) -> PreTrainedModel:
    """The base, as it is stored, plus what its saved adapters have learnt."""
    with torch.no_grad():
        model: PreTrainedModel = PeftModel.from_pretrained(base, str(adapters)).merge_and_unload()
    return model
