"""What a language model thinks of the whole vocabulary before each response token, beside the token's probability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from transformers import PreTrainedModel

from bonbench.reward_models.lm.causal_lm import response_values
from bonbench.reward_models.lm.logits import LOGITS_BLOCK, LOGITS_COLUMNS, n_tokens, token_logits
from bonbench.reward_models.text.encoding import Encoded


def response_statistics(
    model: PreTrainedModel, solutions: Sequence[Encoded], max_batch_tokens: int | None = None
) -> list[list[list[float]]]:
    """:func:`token_statistics` of each response token of each solution: [tokens, 3], in nats.

    Raises:
        UserError: where nothing comes before a response.
    """
    values = response_values(model, solutions, partial(token_statistics, model), max_batch_tokens)
    return [[] if of_solution is None else of_solution.tolist() for of_solution in values]


def token_statistics(model: PreTrainedModel, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """For hidden states [tokens, width]: float32 [tokens, 3], in nats, a block of the vocabulary at a time.

    With p the distribution over the V tokens of the vocabulary that have a finite logit, they are log p(target), the
    entropy of p, and KL(U || p) = -log V - mean(log p), the token's self-certainty (Kang et al. 2025, "Scalable
    Best-of-N Selection for Large Language Models via Self-Certainty").
    """
    vocabulary = n_tokens(model)
    columns = [range(a, min(a + LOGITS_COLUMNS, vocabulary)) for a in range(0, vocabulary, LOGITS_COLUMNS)]
    size = max(1, LOGITS_BLOCK // len(columns[0]))
    statistics = []
    for block, target in zip(torch.split(hidden, size), torch.split(targets, size), strict=True):
        of_target, sums, means, totals, counts = [], [], [], [], []  # of each block of columns
        for some in columns:
            logits = token_logits(model, block, some)
            possible = logits > -math.inf
            finite = logits.where(possible, 0.0)
            column = target.to(logits.device) - some.start
            here = (column >= 0) & (column < len(some))
            chosen = logits.gather(-1, column.clamp(0, len(some) - 1)[:, None])[:, 0]
            of_target.append(chosen.where(here, -math.inf))
            sums.append(logits.logsumexp(dim=-1))
            means.append((logits.softmax(dim=-1) * finite).sum(dim=-1))
            totals.append(finite.sum(dim=-1))
            counts.append(possible.sum(dim=-1))
        each = torch.stack(sums)
        whole = each.logsumexp(dim=0)
        # A block of impossible tokens alone has no mean, and no weight.
        entropy = whole - ((each - whole).exp() * torch.stack(means).nan_to_num()).sum(dim=0)
        count = torch.stack(counts).sum(dim=0)
        certainty = whole - torch.stack(totals).sum(dim=0) / count - count.log()
        logprob = torch.stack(of_target).amax(dim=0) - whole
        # As of :func:`target_logprobs`: an infinite logit says nothing of the other tokens.
        logprob = logprob.where(whole < torch.inf, torch.nan)
        statistics.append(torch.stack([logprob, entropy, certainty], dim=-1))
    return torch.cat(statistics)
