"""Mismatched prompts and responses, on which KTO estimates how far the policy has moved from its reference.

The paper of KTO (Ethayarajh et al. 2024, arXiv 2402.01306, section 4) pairs each prompt of a batch with the response of
another example. The mean of log pi/pi_ref over these pairs, at least 0, is its estimate of KL(pi || pi_ref): unrelated
responses tell how far the policy has drifted, not what it was taught about the prompt.

Here every rollout gets one partner for the whole training, drawn from all rollouts to other problems, and not a new one
in every batch. The mean is still the batch's. So the estimate does not depend on how batches are made up, and the
reference reads each mismatched response once. No stored pass has these responses: the reference reads them when the
training starts (:mod:`reward_models.training.reference`). The policy reads the pairs of a batch before each step,
without gradient. The tokens of both are reported as ``forward_tokens``.

Where steps are learnt instead of responses, the mean is over the steps of the mismatched responses: a step's log
pi/pi_ref is compared with the divergence per step, not with the divergence of a whole response.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bonbench.generators.tokenizers import tokenizer_of
from bonbench.reward_models.training.by_shards import Arrays, Place, made, mapped, path_of, starts
from bonbench.reward_models.training.chosen import Again, Encoder
from bonbench.reward_models.training.data import Mismatched, Prepared
from bonbench.reward_models.training.pairs import Indices
from bonbench.reward_models.training.params import ImplicitTrainerParams
from bonbench.reward_models.training.sequences import Sequences, flat_arrays
from harness.core.errors import UserError
from harness.core.records import GradedSolution


def mismatched(
    prepared: Prepared, params: ImplicitTrainerParams, encoder: Encoder, place: Place | None = None
) -> Mismatched:
    """For each prepared rollout, whose ``texts`` were asked for, its prompt with its partner's response, cut off where
    it exceeds what a model may read. A response is one term; at level step each of its steps is.

    Raises:
        UserError: when the reference has another tokenizer, or there is only one problem.
    """
    text, columns = prepared.columns["text"], prepared.columns
    work = _Crossed(
        params,
        prepared.batches,
        prepared.rows,
        encoder,
        partners=np.array(partners(prepared.problems, params.seed), dtype=np.int64),
        text=path_of(text) or text,
        starts=starts(columns["n_bytes"]),
        ended=columns["ended"],
    )
    arrays = made(work, "mismatched", place)
    n_steps = arrays["n_steps"]
    return Mismatched(Sequences.in_arrays(arrays), n_steps if params.level == "step" else np.ones_like(n_steps))


def texts(items: Iterable[GradedSolution], _: object) -> Mapping[str, npt.NDArray[Any]]:
    """The responses, for other processes to read: in UTF-8 (``text`` [bytes], ``n_bytes`` [rollouts]), and whether the
    model ended its turn (``ended`` [rollouts])."""
    responses = [item.solution.response for item in items]
    written = [response.text.encode(errors="surrogatepass") for response in responses]
    return {
        "text": np.frombuffer(b"".join(written), dtype=np.uint8),
        "n_bytes": np.array(list(map(len, written)), dtype=np.int64),
        "ended": np.array([response.finish_reason == "stop" for response in responses], dtype=bool),
    }


@dataclass(frozen=True, slots=True)
class _Crossed(Again):
    """Prompts with their partners' responses, encoded, and how many steps are read of each (at least 1).

    The partners lie in other shards, all over: their ``texts`` are in the memory that all processes share.
    """

    encoder: Encoder
    partners: Indices
    text: Path | npt.NDArray[np.uint8]
    starts: Indices
    ended: npt.NDArray[np.bool_]
    params: ImplicitTrainerParams

    def begin(self) -> Callable[[int], Arrays]:
        from bonbench.reward_models.text.positions import positions

        params = self.params
        if params.reference not in (params.base, None) and not _same_vocabulary(params):
            raise UserError(f"reference: kto needs a reference model with the tokenizer of {params.base}")
        limits = [positions(model) for model in (params.base, params.reference) if model is not None]
        max_length = min([params.max_length, *(limit for limit in limits if limit is not None)])
        encode = self.encoder(params)
        text = mapped(self.text) if isinstance(self.text, Path) else self.text

        def make(number: int) -> Arrays:
            crossed = []
            for member, item in zip(self.members(number), self.load(number), strict=True):
                partner = int(self.partners[member])
                words = text[self.starts[partner] : self.starts[partner + 1]].tobytes().decode(errors="surrogatepass")
                ended = "stop" if self.ended[partner] else "length"
                response = replace(item.solution.response, text=words, finish_reason=ended)
                crossed.append(replace(item.solution, response=response, logprobs={}))
            encoded = encode(crossed)
            reads = [[read for read in tokens.reads if read < max_length - 1] for tokens in encoded]
            n_steps = [
                tokens.steps[len(within) - 1] + 1 if within else 1
                for tokens, within in zip(encoded, reads, strict=True)
            ]
            arrays = flat_arrays([tokens.ids[:max_length] for tokens in encoded], reads)
            return {**arrays, "n_steps": np.array(n_steps, dtype=np.int64)}

        return make


def _same_vocabulary(params: ImplicitTrainerParams) -> bool:
    models = params.base, params.reference or ""
    ours, theirs = (tokenizer_of(model).get_vocab() for model in models)
    return bool(ours == theirs)


def partners(problems: Sequence[int], seed: int) -> list[int]:
    """For each rollout one to another problem: the next such one in a seeded circular order of all rollouts.

    Raises:
        UserError: when there is only one problem.
    """
    if len(set(problems)) < 2:
        raise UserError("objective: kto pairs prompts with other problems' responses, and there is only one problem")
    order = np.random.default_rng(seed).permutation(len(problems)).tolist()
    partner = [0] * len(problems)
    # Backwards, so that the partner of the follower is known: it is the partner too where both are to one problem.
    for place in range(2 * len(order) - 1, -1, -1):
        here, after = order[place % len(order)], order[(place + 1) % len(order)]
        partner[here] = after if problems[after] != problems[here] else partner[after]
    return partner
