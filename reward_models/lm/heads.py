"""Published heads that `transformers` does not have, as native modules with the weight names of the hub's checkpoints.

Each is a body without its language-model head, and a small head on hidden states. What their repositories' remote code
computes is restated from the public descriptions; none of it is run.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from transformers import (
    LlamaModel,
    LlamaPreTrainedModel,
    MistralModel,
    MistralPreTrainedModel,
    Qwen2Model,
    Qwen2PreTrainedModel,
)
from transformers.configuration_utils import PretrainedConfig

_UNUSED = [r"^lm_head\."]  # checkpoints may carry the language model's head along


class EurusRewardModel(MistralPreTrainedModel):  # type: ignore[misc]
    """openbmb/Eurus-RM-7b: one linear output without bias (public modelling code)."""

    _keys_to_ignore_on_load_unexpected = _UNUSED

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.model = MistralModel(config)
        self.regression_head = nn.Linear(config.hidden_size, 1, bias=False)
        self.post_init()

    def rewards(self, hidden: torch.Tensor) -> torch.Tensor:
        """Reward of each hidden state [tokens, width]."""
        return self.regression_head(hidden)[:, 0]  # type: ignore[no-any-return]


class QwenProcessRewardModel(Qwen2PreTrainedModel):  # type: ignore[misc]
    """Qwen/Qwen2.5-Math-PRM-7B and -72B: a hidden layer, then the classes "bad step" and "good step" (model card)."""

    _keys_to_ignore_on_load_unexpected = _UNUSED

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.model = Qwen2Model(config)
        width = config.hidden_size
        self.score = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))
        self.post_init()

    def rewards(self, hidden: torch.Tensor) -> torch.Tensor:
        """Probability of the class "good step" at each hidden state [tokens, width]."""
        return self.score(hidden).float().softmax(dim=-1)[:, 1]  # type: ignore[no-any-return]


class QwenOutcomeRewardModel(Qwen2PreTrainedModel):  # type: ignore[misc]
    """Qwen/Qwen2.5-Math-RM-72B: a hidden layer, then one output (public modelling code)."""

    _keys_to_ignore_on_load_unexpected = _UNUSED

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.model = Qwen2Model(config)
        width = config.hidden_size
        self.score = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))
        self.post_init()

    def rewards(self, hidden: torch.Tensor) -> torch.Tensor:
        """Reward of each hidden state [tokens, width]."""
        return self.score(hidden)[:, 0]  # type: ignore[no-any-return]


class _ValueHead(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.summary = nn.Linear(width, 1)


class SkyworkProcessRewardModel(Qwen2PreTrainedModel):  # type: ignore[misc]
    """Skywork/Skywork-o1-Open-PRM-Qwen-2.5-1.5B and -7B: the sigmoid of a value head (public inference code)."""

    _keys_to_ignore_on_load_unexpected = _UNUSED

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.model = Qwen2Model(config)
        self.v_head = _ValueHead(config.hidden_size)
        self.post_init()

    def rewards(self, hidden: torch.Tensor) -> torch.Tensor:
        """Probability of a good step at each hidden state [tokens, width]."""
        return self.v_head.summary(hidden)[:, 0].float().sigmoid()  # type: ignore[no-any-return]


class _Gating(nn.Module):
    def __init__(self, width: int, n_objectives: int, hidden: int, n_hidden: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.logit_scale = nn.Parameter(torch.ones(1))
        sizes = [width, *[hidden] * n_hidden, n_objectives]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        *inner, last = self.layers
        for layer in inner:
            hidden = layer(hidden).relu()
        logits: torch.Tensor = last(hidden).float()
        return (logits / self.temperature).softmax(dim=-1) * self.logit_scale.float()


class ArmoRewardModel(LlamaPreTrainedModel):  # type: ignore[misc]
    """RLHFlow/ArmoRM-Llama3-8B-v0.1 (Wang et al. 2024, arXiv 2406.12845, and its public modelling code).

    A linear layer predicts how the response does on 19 objectives. Each is freed of its correlation with verbosity by
    ``reward_transform_matrix``, and a gate on the prompt's hidden state weighs them up.
    """

    _keys_to_ignore_on_load_unexpected = _UNUSED

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        n = getattr(config, "num_objectives", 19)
        self.model = LlamaModel(config)
        self.regression_layer = nn.Linear(config.hidden_size, n, bias=False)
        self.reward_transform_matrix = nn.Parameter(torch.eye(n))
        self.gating = _Gating(
            config.hidden_size,
            n,
            hidden=getattr(config, "gating_hidden_dim", 1024),
            n_hidden=getattr(config, "gating_n_hidden", 3),
            temperature=getattr(config, "gating_temperature", 10),
        )
        self.post_init()

    def rewards(self, hidden: torch.Tensor) -> torch.Tensor:
        """One reward [1] from the hidden states [2, width] of the prompt's and the response's last tokens."""
        prompt, response = hidden
        objectives = self.regression_layer(response) @ self.reward_transform_matrix
        weighted: torch.Tensor = self.gating(prompt) * objectives.float()
        return weighted.sum(dim=-1, keepdim=True)
