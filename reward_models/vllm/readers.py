"""Rewards read by an engine of vLLM: at a classifier's head, or as probabilities of answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bonbench.generators.vllm_engine import Engine, Request
from bonbench.generators.vllm_start import device
from bonbench.reward_models.text.pieces import Marked
from bonbench.reward_models.vllm.engine import model_config, positions, start
from bonbench.reward_models.vllm.params import CLASSIFIER, EngineParams
from harness.core.components import ModelFacts
from harness.core.errors import UserError


@dataclass(frozen=True, slots=True)
class Served:
    """A model that an engine is to be started for."""

    model: str
    dtype: str
    max_batch_tokens: int | None
    engine: EngineParams

    def start(self, limit: int | None, **arguments: Any) -> Engine:
        """The engine, for texts of so many tokens."""
        arguments |= {"max_model_len": limit, "max_num_batched_tokens": self.max_batch_tokens}
        return start(self.model, self.dtype, self.engine, **arguments)


class _Reader:
    """What the readers have in common: ``config`` and ``limit`` of :class:`~bonbench.reward_models.reader.Reader`."""

    has_output_head = False

    def __init__(self, served: Served) -> None:
        self.config = model_config(served.model)
        self.limit = served.engine.context(positions(self.config))

    def facts(self) -> ModelFacts:
        return ModelFacts(self.config.to_dict(), device(), output_head=self.has_output_head)


class ClassifierReader(_Reader):
    """A :class:`~bonbench.reward_models.reader.Reader` of a classifier: vLLM gives the outputs of its head.

    Of one output the reward is the output, of two the probability of the second class. vLLM keeps no beginning of a
    text whose every token is asked about (its prefix cache has keys and values, not hidden states): of texts that are
    read at their end alone it does.

    Args:
        architecture: vLLM's name for it, or ``CLASSIFIER``.
        at_end: whether every text is read at one token, its last.

    Raises:
        UserError: when vLLM is not installed, rejects its arguments or cannot load the model.
    """

    def __init__(self, served: Served, architecture: str, at_end: bool) -> None:
        super().__init__(served)
        self._task = "classify" if at_end else "token_classify"
        is_classifier = architecture == CLASSIFIER
        self._engine = served.start(
            self.limit,
            runner="pooling",
            convert="classify" if is_classifier else "auto",
            hf_overrides={"architectures": [_classifier(served.model, self.config) if is_classifier else architecture]},
            pooler_config={"task": self._task, "seq_pooling_type": "LAST", "tok_pooling_type": "ALL"},
            enable_prefix_caching=at_end,
        )
        if self._engine.model_config.attn_type != "decoder":
            raise UserError(f"{served.model} is not a decoder: it reads a text in both directions")

    def rewards(self, readings: Sequence[Marked]) -> list[list[float]]:
        from vllm import PoolingParams

        # What follows the last token that is read need not be.
        asked = PoolingParams(task=self._task, use_activation=False)
        requests: list[Request] = [(reading.ids[: reading.reads[-1] + 1], asked) for reading in readings]
        rewards: list[list[float]] = [[] for _ in readings]
        for place, output in self._engine.outputs(requests):
            outputs = output.outputs.data.float()
            rows = outputs[None] if self._task == "classify" else outputs[list(readings[place].reads)]
            rewards[place] = (rows[:, 0] if rows.shape[-1] == 1 else rows.softmax(dim=-1)[:, 1]).tolist()
        return rewards


class AnswerReader(_Reader):
    """A :class:`~bonbench.reward_models.reader.Reader` of a causal LM that answers with one of two tokens.

    A reward is p(first) / (p(first) + p(second)). The text up to each token at which it is read is a request of its
    own, of which the prefix cache has all but the last tokens.

    Args:
        answers: ids of the two tokens.

    Raises:
        UserError: when vLLM is not installed, rejects its arguments or cannot load the model.
    """

    has_output_head = True

    def __init__(self, served: Served, answers: Sequence[int]) -> None:
        super().__init__(served)
        self._answers = list(answers)
        # vLLM wants room for the answer.
        room = None if self.limit is None else self.limit + 1
        self._engine = served.start(room, runner="generate", enable_prefix_caching=True)

    def rewards(self, readings: Sequence[Marked]) -> list[list[float]]:
        from vllm import SamplingParams

        asked = SamplingParams(temperature=0, max_tokens=1, logprob_token_ids=self._answers, detokenize=False)
        places = [(k, at) for k, reading in enumerate(readings) for at in reading.reads]
        requests: list[Request] = [(readings[k].ids[: at + 1], asked) for k, at in places]
        found = [0.0] * len(places)
        for place, output in self._engine.outputs(requests):
            found[place] = self._reward(output.outputs[0].logprobs[0])
        rewards: list[list[float]] = [[] for _ in readings]
        for (k, _), reward in zip(places, found, strict=True):
            rewards[k].append(reward)
        return rewards

    def _reward(self, logprobs: Mapping[int, Any]) -> float:
        first, second = (logprobs[answer].logprob for answer in self._answers)
        return 1 / (1 + math.exp(min(second - first, 700.0)))


def _classifier(model: str, config: Any) -> str:
    """The architecture of the sequence classifier of a model's type."""
    from transformers import AutoModelForSequenceClassification

    try:
        return str(AutoModelForSequenceClassification._model_mapping[type(config)].__name__)
    except KeyError:
        raise UserError(f"{model}: there is no sequence classifier of type {config.model_type}") from None
