"""Sampling with any causal language model in `transformers` format, on CPU or GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from harness.records import Problem, Response, Sampling
from harness.registry import ComponentParams, Generator, ModelPath, UserError

#: Bytes of key-value cache that a batch may take, by kind of device.
_CACHE_BYTES = {"cpu": 2**30, "cuda": 2**34}
_MAX_ROWS = {"cpu": 512, "cuda": 4096}


class TransformersParams(ComponentParams):
    """Parameters of :class:`TransformersGenerator`.

    ``batch_size`` counts sequences sampled at once; by default as many as a cache of 1 GiB (CPU) or 16 GiB
    (GPU) holds. It does not change the responses, rounding of logits aside.
    """

    model: ModelPath
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    batch_size: int | None = Field(None, ge=1)
    system_prompt: str | None = None


class TransformersGenerator(Generator[TransformersParams]):
    """Samples from a chat model.

    The prompt is the model's chat template around the problem, ready for the assistant's turn. A response
    ends at any end-of-turn token that the model's generation config or its tokenizer names.

    Raises:
        UserError: when the model cannot be loaded, its tokenizer has no chat template, or prompt and response may
            not fit the model's positions.
    """

    Params = TransformersParams

    def __init__(self, params: TransformersParams, name: str = "") -> None:
        super().__init__(params, name)
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        device = params.device if params.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(params.model)
            model = AutoModelForCausalLM.from_pretrained(params.model, dtype=params.dtype)
        except (OSError, ValueError) as error:
            raise UserError(f"{params.model} cannot be loaded: {error}") from error
        if self.tokenizer.chat_template is None:
            raise UserError(f"{params.model}: its tokenizer has no chat template, so there is no prompt to give it")
        self.model = model.to(device).eval()
        self.special_ids = set(self.tokenizer.all_special_ids)
        stops = self.model.generation_config.eos_token_id
        self.stop_ids = sorted({*(stops if isinstance(stops, list) else [stops]), self.tokenizer.eos_token_id} - {None})

    def describe(self) -> dict[str, Any]:
        return {"config": self.model.config.to_dict(), "device": str(self.model.device)}

    def generate(
        self, problems: Sequence[Problem], sampling: Sampling, seeds: Mapping[str, Sequence[int]]
    ) -> list[Response]:
        from generators.decoding import sample
        from generators.uniforms import seed_array

        prompts = [self._prompt(problem.problem) for problem in problems]
        limit = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        for problem, prompt in zip(problems, prompts, strict=True):
            if limit is not None and len(prompt) + sampling.max_tokens > limit:
                raise UserError(
                    f"{self.params.model} reads {limit} tokens, the prompt of problem {problem.problem_id!r} has "
                    f"{len(prompt)}: lower sampling.max_tokens to {max(limit - len(prompt), 0)} at most"
                )
        # Problems of similar prompt length share a batch, so that little of it is padding.
        order = sorted(range(len(problems)), key=lambda i: len(prompts[i]))
        rows = [(i, j) for i in order for j in range(sampling.n)]
        batch_size = self.params.batch_size or self._rows_that_fit(max(map(len, prompts), default=0), sampling)
        found: dict[tuple[int, int], Response] = {}
        for start in range(0, len(rows), batch_size):
            batch = rows[start : start + batch_size]
            local = {i: k for k, i in enumerate(dict.fromkeys(i for i, _ in batch))}
            result = sample(
                self.model,
                [prompts[i] for i in local],
                [local[i] for i, _ in batch],
                seed_array([seeds[problems[i].problem_id][j] for i, j in batch]),
                self.stop_ids,
                sampling.max_tokens,
                sampling.temperature,
                sampling.top_p,
            )
            for row, (i, j) in enumerate(batch):
                n_tokens = int(result.lengths[row])
                found[i, j] = Response(
                    problem_id=problems[i].problem_id,
                    generator=self.name,
                    sample=j,
                    text=self._text(prompts[i], result.tokens[row, :n_tokens].tolist()),
                    n_prompt_tokens=len(prompts[i]),
                    n_tokens=n_tokens,
                    finish_reason="stop" if result.stopped[row] else "length",
                    seed=seeds[problems[i].problem_id][j],
                )
        return [found[i, j] for i in range(len(problems)) for j in range(sampling.n)]

    def _prompt(self, problem: str) -> list[int]:
        messages = [{"role": "user", "content": problem}]
        if self.params.system_prompt is not None:
            messages.insert(0, {"role": "system", "content": self.params.system_prompt})
        text = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        # The template writes the BOS token where the model wants one.
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _text(self, prompt: list[int], tokens: list[int]) -> str:
        """The response as text. Decoded behind the prompt's last token: alone it could lose a leading space."""
        kept = [token for token in tokens if token not in self.special_ids]
        anchor = self.tokenizer.decode(prompt[-1:], clean_up_tokenization_spaces=False)
        whole = self.tokenizer.decode(prompt[-1:] + kept, clean_up_tokenization_spaces=False)
        return str(whole[len(anchor) :])

    def _rows_that_fit(self, prompt_length: int, sampling: Sampling) -> int:
        config = self.model.config.get_text_config()
        kv_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        per_token = 2 * config.num_hidden_layers * kv_heads * head_dim * self.model.dtype.itemsize
        device = self.model.device.type
        rows = _CACHE_BYTES.get(device, 2**30) // (per_token * (prompt_length + sampling.max_tokens))
        return int(min(max(rows, 1), _MAX_ROWS.get(device, 512)))
