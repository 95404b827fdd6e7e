"""The records that cross package borders.

They are frozen dataclasses in memory and Parquet rows on disk (``harness.storage.shards`` derives the Arrow
schemas from them). Identifiers: a response is (problem_id, generator, sample); everything else points to it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from harness.core.steps import step_ends
from harness.core.terms import ScoreType


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem with its gold answer. ``subject`` is "", and ``level`` None, where the source does not have them."""

    problem_id: str
    problem: str
    answer: str
    subject: str = ""
    level: int | None = None
    split: str = ""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a generator samples. ``n`` responses per problem; ``max_tokens`` counts the end-of-turn token."""

    n: int
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 2048


@dataclass(frozen=True, slots=True)
class Response:
    """One sampled solution.

    ``text`` carries no end-of-turn marker. ``n_tokens`` counts sampled tokens, the end-of-turn token
    included. ``finish_reason`` is "stop" (the model ended its turn), "length" (cut off) or "" (unknown,
    as in recorded data). ``seed`` is None where the response was not sampled by us. ``token_ids`` are the
    ``n_tokens`` sampled tokens where the generator was asked to keep them.
    """

    problem_id: str
    generator: str
    sample: int
    text: str
    n_prompt_tokens: int = 0
    n_tokens: int = 0
    finish_reason: str = ""
    seed: int | None = None
    token_ids: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Reply(Response):
    """What a generator wrote when it was asked about a response.

    ``p_yes`` is the probability of the answer yes, of yes and no, where the reply gives its verdict: None where that
    was not asked for, and where it gives none.
    """

    p_yes: float | None = None


@dataclass(frozen=True, slots=True)
class Grade:
    """A verdict on one response.

    ``extracted`` is None where no answer was found. ``reason`` says in a word or two how the verdict came
    about (for instance "exact", "symbolic", "no answer", "timeout"). ``answer_class`` is an integer per
    (problem, generator), shared by responses with equivalent answers; -1 marks a response without answer,
    which never votes.
    """

    problem_id: str
    generator: str
    sample: int
    extracted: str | None
    correct: bool
    reason: str
    answer_class: int


@dataclass(frozen=True, slots=True)
class StepScores:
    """A reward model's scores for one response.

    ``step_rewards`` has one value per step, an outcome reward model gives a single one. ``step_ends`` are
    the character offsets at which the steps end (the last one is ``len(text)``), or None where the steps
    are recorded ones that do not rebuild the text. Where the reward model reads a part of the response, the steps are
    those of the part, and the offsets are into the response all the same. ``n_tokens`` counts the response tokens
    scored.

    A response without a score is a record all the same: ``step_rewards`` and ``step_ends`` are empty and ``n_tokens``
    is 0. It ranks below every scored response and adds nothing in weighted voting.
    """

    problem_id: str
    generator: str
    sample: int
    reward_model: str
    step_rewards: tuple[float, ...]
    step_ends: tuple[int, ...] | None
    n_tokens: int


@dataclass(frozen=True, slots=True)
class StepLabels:
    """How often a response came out right when it was completed anew after each of its steps (Math-Shepherd, Wang et
    al. 2024).

    ``n_correct[k]`` of ``n[k]`` completions after step k are right; ``n[k]`` is 0 where the response up to there leaves
    no room in what the completing model reads. After the last step there is nothing to complete:
    its only "completion" is the response itself, right or wrong.
    """

    problem_id: str
    generator: str
    sample: int
    n_correct: tuple[int, ...]
    n: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """log p(token | prompt, earlier tokens) for every response token under one causal LM, in nats.

    ``token_ends`` are character offsets into the response text; the end-of-turn token, present exactly
    when the response finished with "stop", ends at ``len(text)`` and is the last entry.
    ``n_prompt_tokens`` is the length of the prompt the model read.

    Where prompt and response together are longer than the model reads, the record is empty and ``n_prompt_tokens`` is
    0: nothing was read. (The prompt of a pass that was read has at least one token.)

    A pass that was asked for more has, for every token, the entropy of the distribution that it was drawn from
    (``entropies``) and how far that is from the uniform one, KL(uniform || p) (``self_certainty``), in nats.
    """

    problem_id: str
    generator: str
    sample: int
    logprobs: tuple[float, ...]
    token_ends: tuple[int, ...]
    n_prompt_tokens: int
    entropies: tuple[float, ...] | None = None
    self_certainty: tuple[float, ...] | None = None

    @property
    def was_read(self) -> bool:
        """Whether the model read the response."""
        return self.n_prompt_tokens > 0 or len(self.logprobs) > 0

    @property
    def is_possible(self) -> bool:
        """Whether the model gives every token a probability above 0.

        A model may not: an entry of its vocabulary is masked, or a logit is beyond the range of floats. That -inf is
        what the model says, and is kept; but a difference of two of them is no number.
        """
        return -math.inf not in self.logprobs


@dataclass(frozen=True, slots=True)
class Verification:
    """What a generator wrote when it was asked about a response once: ``replies``, as many as were asked for.

    There are none where the question is longer than the generator reads. ``step`` is the number of the step that was
    asked about, from 0; None where it was the response. Where several responses were shown in one prompt, this one was
    number ``place`` of ``shown``, from 0. ``question`` is the id of what was asked: equal responses share it.
    """

    question: str
    replies: tuple[Response, ...]
    step: int | None = None
    place: int = 0
    shown: int = 1


@dataclass(frozen=True, slots=True)
class MemberScore:
    """What another reward model makes of a response.

    ``score`` is its score, in that reward model's own aggregation; None where it gave none.
    """

    score: float | None
    score_type: ScoreType


@dataclass(frozen=True, slots=True)
class Solution:
    """What a reward model sees: a problem, one response to it, and what it asked for: by name the token passes and the
    scores of other reward models, and verifications.

    ``given_ends`` are the offsets at which the steps of the response end, where a data set says what its steps are.
    """

    problem: Problem
    response: Response
    logprobs: Mapping[str, TokenLogprobs] = field(default_factory=dict)
    scores: Mapping[str, MemberScore] = field(default_factory=dict)
    given_ends: tuple[int, ...] | None = None
    verifications: tuple[Verification, ...] = ()

    @property
    def step_ends(self) -> tuple[int, ...]:
        """The offsets at which the steps of the response end, increasing; the last one is its length."""
        return self.given_ends or step_ends(self.response.text)

    @property
    def steps(self) -> list[str]:
        """The steps of the response, of which it is made up."""
        return [self.response.text[begin:end] for begin, end in pairwise((0, *self.step_ends))]

    @property
    def was_read(self) -> bool:
        """Whether every model of the token passes has read the response, and holds each of its tokens possible."""
        return all(tokens.was_read and tokens.is_possible for tokens in self.logprobs.values())


@dataclass(frozen=True, slots=True)
class GradedSolution:
    """What training sees: a solution and whether its answer is right.

    Where steps are labelled, ``steps`` has a label in [0, 1] for each step of ``core.steps.step_ends(text)``, for
    instance the share of right completions after the step. It is NaN after a step that nothing could complete: what
    comes before fills all that the generator reads.
    """

    solution: Solution
    correct: bool
    steps: tuple[float, ...] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class LedgerRow:
    """What one shard of work cost. Counted tokens; analytic FLOPs (``harness.cost_model.shape``); wall seconds.

    ``wall_s`` are seconds of one actor, or of all workers of a training together, and ``gpus`` the GPUs that these
    held meanwhile: 0 on CPUs, None where it is not known. GPU-seconds are ``gpus * wall_s``. ``flops`` is NaN where the
    model that wrote verifications is not known.
    """

    stage: str
    what: str
    model: str
    device: str
    prompt_tokens: int
    completion_tokens: int
    train_tokens: int
    flops: float
    wall_s: float
    started_at: float
    gpus: float | None = 0.0
