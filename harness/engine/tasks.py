"""The tasks: what an actor does with one shard.

A task takes a component and Arrow tables. It returns the table of the shard, and its costs.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import groupby
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.core.aggregation import aggregate
from harness.core.components import Component, Generator, ModelFacts, RewardModel, TokenScorer, Verifier
from harness.core.errors import UserError
from harness.core.incomplete import Incomplete
from harness.core.records import (
    Grade,
    MemberScore,
    Problem,
    Reply,
    Response,
    Sampling,
    Solution,
    StepLabels,
    StepScores,
    TokenLogprobs,
)
from harness.core.seeds import response_seed
from harness.core.stages import Task
from harness.core.text import mended_records
from harness.core.verifications import Verifications
from harness.core.weighing import Weighed
from harness.cost_model.shape import ModelShape
from harness.engine.going_on import made_of, sampled
from harness.engine.prefixes import Tally, prefixes, step_labels, tallies
from harness.storage.arrow import OPTIONAL, to_records, to_table
from harness.storage.shards import table_meta

R = TypeVar("R", Response, Grade, StepScores, TokenLogprobs)
Text = TypeVar("Text", Response, Grade)


@dataclass
class Result:
    """A finished shard: its table, facts stored beside it, and its cost (see ``harness.core.records.LedgerRow``).

    ``notes`` are warnings of the component, for the one who looks on. ``missing`` are the problems that failed, each
    with the reason (:class:`~harness.core.incomplete.Incomplete`): the table has all of the others.
    """

    table: pa.Table
    meta: dict[str, Any] = field(default_factory=dict)
    device: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    flops: float = 0.0
    wall_s: float = 0.0
    started_at: float = 0.0
    notes: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


def sample(
    component: Generator[Any],
    problems: pa.Table,
    sampling: Sampling,
    run_seed: int,
    fewer: bool = False,
    kept: pa.Table | None = None,
) -> Result:
    """Sample ``sampling.n`` responses to each problem, or take so many recorded responses.

    A problem may be left without responses by a generator that says why (``unanswered_because``). The facts of the
    shard name such problems.

    Args:
        fewer: whether a problem may have fewer recorded responses.
        kept: responses of the shard that are there already.

    Raises:
        UserError: where a problem has too few recorded responses.
    """
    block = to_records(Problem, problems)
    seeds = {
        p.problem_id: [response_seed(run_seed, component.name, p.problem_id, i) for i in range(sampling.n)]
        for p in block
    }
    responses, missing = sampled(component.generate, block, sampling, seeds, _records(Response, kept))
    responses = _whole(component, responses)
    n_of = Counter(r.problem_id for r in responses)
    counts = {p.problem_id: sampling.n for p in block}
    unanswered: list[str] = []
    if component.recorded:
        counts = {id_: min(n, n_of[id_]) for id_, n in counts.items()}
    elif component.unanswered_because:
        unanswered = [id_ for id_ in counts if not n_of[id_] and id_ not in missing]
        counts |= dict.fromkeys(unanswered, 0)
    whole = [(r.problem_id, r.sample) for r in responses if r.problem_id not in missing]
    if whole != [(id_, i) for id_, n in counts.items() if id_ not in missing for i in range(n)]:
        raise RuntimeError(f"{component.name} did not return {sampling.n} ordered responses for every problem")
    short = next((id_ for id_, n in counts.items() if n < sampling.n), None)
    if component.recorded and short is not None and (not fewer or not responses):
        hint = "" if fewer else "; a generator that only gives rollouts needs `evaluate: false`"
        raise UserError(
            f"{component.name}: {counts[short]} responses to problem {short!r} are recorded, {sampling.n} wanted{hint}"
        )
    result = Result(to_table(Response, responses), missing=missing)
    if unanswered:
        result.meta |= {"unanswered": unanswered, "unanswered_because": component.unanswered_because}
    _count(result, _described(component), ((r.problem_id, r.n_prompt_tokens, r.n_tokens) for r in responses))
    return result


def complete(
    component: Generator[Any],
    problems: pa.Table,
    responses: pa.Table,
    sampling: Sampling,
    run_seed: int,
    labels: pa.Table | None = None,
) -> Result:
    """Sample ``sampling.n`` completions of every response to ``problems`` from the end of every step but the last.

    With the ``labels`` of earlier rounds: ``sampling.n`` more where no completion is right yet. A beginning that leaves
    no room in what the generator's model reads has no completions.
    """
    rollouts = to_records(Response, _about(problems, responses))
    prefix_by_text = prefixes(to_records(Problem, problems), rollouts)
    tally_by_id = tallies(prefix_by_text, rollouts, [] if labels is None else to_records(StepLabels, labels))
    undecided = [prefix for prefix in prefix_by_text.values() if tally_by_id[prefix.problem.problem_id].n_correct == 0]
    begun = [prefix.problem for prefix in undecided]
    seeds = {
        p.problem_id: [
            response_seed(run_seed, component.name, p.problem_id, tally_by_id[p.problem_id].n + i)
            for i in range(sampling.n)
        ]
        for p in begun
    }
    sampled = _whole(
        component, component.complete(begun, [p.text for p in undecided], sampling, seeds) if begun else []
    )
    completions = [replace(r, sample=tally_by_id[r.problem_id].n + r.sample) for r in sampled]
    result = Result(to_table(Response, completions))
    _count(result, _described(component), ((r.problem_id, r.n_prompt_tokens, r.n_tokens) for r in completions))
    return result


def label(
    component: Verifier[Any],
    problems: pa.Table,
    responses: pa.Table,
    grades: pa.Table,
    completions: pa.Table,
    labels: pa.Table | None = None,
) -> Result:
    """Count the right completions after each step of every response to ``problems``.

    ``labels`` are the counts of earlier rounds, which are added.
    """
    rollouts = to_records(Response, _about(problems, responses))
    prefix_by_text = prefixes(to_records(Problem, problems), rollouts)
    beginning = {prefix.problem.problem_id: prefix.text for prefix in prefix_by_text.values()}
    whole = [replace(r, text=beginning[r.problem_id] + r.text) for r in to_records(Response, completions)]
    tally_by_id = tallies(prefix_by_text, rollouts, [] if labels is None else to_records(StepLabels, labels))
    for verdict in component.grade([prefix.problem for prefix in prefix_by_text.values()], whole):
        before = tally_by_id[verdict.problem_id]
        tally_by_id[verdict.problem_id] = Tally(before.n_correct + verdict.correct, before.n + 1)
    correct = [g.correct for g in to_records(Grade, _about(problems, grades))]
    return Result(to_table(StepLabels, step_labels(prefix_by_text, rollouts, correct, tally_by_id)))


def grade(component: Verifier[Any], problems: pa.Table, responses: pa.Table, kept: pa.Table | None = None) -> Result:
    """Grade every response; those to problems of which grades are ``kept`` have theirs."""
    block = to_records(Problem, problems)
    grades, missing = made_of(
        to_records(Response, responses), _records(Grade, kept), lambda some: component.grade(block, some)
    )
    return Result(to_table(Grade, _whole(component, grades)), missing=missing)


def token_pass(
    component: TokenScorer[Any], problems: pa.Table, responses: pa.Table, kept: pa.Table | None = None
) -> Result:
    """Log-probabilities of every response token under one model."""
    passes, missing = made_of(
        _solutions(problems, responses, {}, {}), _records(TokenLogprobs, kept), component.checked_logprobs
    )
    asked = component.columns(component.params)
    table = to_table(TokenLogprobs, passes)
    unasked = [name for name in OPTIONAL[TokenLogprobs] if name not in asked]
    result = Result(table.drop_columns(unasked), missing=missing)
    read = [t for t in passes if t.was_read]
    _count(result, _described(component), ((t.problem_id, t.n_prompt_tokens, len(t.logprobs)) for t in read))
    return result


def verify(
    component: Generator[Any],
    problems: pa.Table,
    responses: pa.Table,
    asked: Verifications,
    run_seed: int,
    kept: pa.Table | None = None,
) -> Result:
    """Answer the questions that are ``asked`` about the responses. One that the generator cannot read has no reply.

    Args:
        kept: replies of the shard that are there already.

    Raises:
        UserError: where too few recorded replies to a question are there, and for a template that fails.
    """
    solutions = _solutions(problems, responses, {}, {})
    about = {q.id: q for q in asked.questions(solutions)}
    questions = [q.asked() for q in about.values()]
    who = f"{component.name} on {solutions[0].response.generator}" if solutions else component.name
    n = asked.sampling.n
    seeds = {id_: [response_seed(run_seed, who, id_, i) for i in range(n)] for id_ in about}
    have = None if kept is None else [r for r in to_records(Response, kept) if r.problem_id in about]
    replies, failed = sampled(partial(component.replies, asked.begins), questions, asked.sampling, seeds, have)
    replies = _whole(component, replies)
    weighed: list[Weighed] = []
    if asked.weighing is not None:
        told, weighed = asked.weighing.weighed(component.weigh, asked.begins, questions, replies)
        replies = list(told)
    missing: dict[str, str] = {}
    for id_, why in failed.items():
        missing.setdefault(about[id_].problem.problem_id, f"question {id_!r}: {why}")
    record: type[Response] = Response if asked.weighing is None else Reply
    result = Result(to_table(record, replies), missing=missing)
    facts = _described(component)
    shape = _count(result, facts, ((r.problem_id, r.n_prompt_tokens, r.n_tokens) for r in replies))
    _count_weighed(result, shape, weighed)
    if facts is None and not component.recorded:
        result.flops = math.nan  # a server does not say what its model is
    return result


_SCORES_OF = "scores of "


def score_role(reward_model: str) -> str:
    """The role in which the scores of another reward model are an input of :func:`score`."""
    return f"{_SCORES_OF}{reward_model}"


def score(
    component: RewardModel[Any],
    problems: pa.Table,
    responses: pa.Table,
    kept: pa.Table | None = None,
    asked: Verifications | None = None,
    verifications: pa.Table | None = None,
    **inputs: pa.Table,
) -> Result:
    """Score every step of every response.

    Args:
        asked, verifications: what a generator was asked about the responses, and its replies.
        inputs: the token passes asked for, by role, and the scores of other reward models, by :func:`score_role`.
    """
    passes = {role: table for role, table in inputs.items() if not role.startswith(_SCORES_OF)}
    others = {role.removeprefix(_SCORES_OF): table for role, table in inputs.items() if role not in passes}
    solutions = _solutions(problems, responses, passes, others)
    if asked is not None and verifications is not None:
        solutions = asked.told(solutions, to_records(Response if asked.weighing is None else Reply, verifications))
    scores, missing = made_of(solutions, _records(StepScores, kept), component.score_read)
    meta = {a: getattr(component, a) for a in ("reward", "score_type", "aggregation", "coefficient")}
    if component.reads != "all":
        meta["reads"] = component.reads
    solution_of = {(s.response.problem_id, s.response.sample): s for s in solutions}
    unscored = (solution_of[of.problem_id, of.sample] for of in scores if not of.step_rewards)
    reasons = Counter(map(component.why_unscored, unscored))
    if reasons:
        meta["unscored_because"] = next(iter(reasons)) if len(reasons) == 1 else dict(reasons)
    if verdicts := component.verdicts(solutions):
        meta["verdicts"] = dict(verdicts)
    if component.served is not None:
        meta["served"] = component.served
    result = Result(to_table(StepScores, scores), meta, missing=missing)
    facts = _described(component)
    if facts is not None:
        prompts = {(r["problem_id"], r["sample"]): r["n_prompt_tokens"] for r in responses.to_pylist()}
        scored = [s for s in scores if s.step_rewards]
        _count(result, facts, ((s.problem_id, prompts[s.problem_id, s.sample], s.n_tokens) for s in scored))
    return result


TASKS: dict[Task, Callable[..., Result]] = {
    Task.SAMPLE: sample,
    Task.COMPLETE: complete,
    Task.LABEL: label,
    Task.GRADE: grade,
    Task.TOKEN_PASS: token_pass,
    Task.VERIFY: verify,
    Task.SCORE: score,
}


def run(task: Task, component: Any, payload: Mapping[str, Any]) -> Result:
    """Run a task by name. Whoever asks for it times it. A task that needs all problems makes nothing where some
    failed."""
    started_at = time.time()
    try:
        result = TASKS[task](component, **payload)
    except Incomplete as error:
        result = Result(pa.table({}), missing=error.missing)
    result.started_at = started_at
    return result


def _whole(component: Component[Any], records: Sequence[Text]) -> list[Text]:
    """What a component made, with every half of a character replaced: no table and no tokenizer takes it."""
    whole, changed = mended_records(records)
    if changed:
        first = changed[0]
        logging.getLogger("bonbench").warning(
            "%s: %d of %d have half a character (a lone surrogate), stored as U+FFFD; the first is sample %d of "
            "problem %r",
            component.name, len(changed), len(whole), first.sample, first.problem_id,
        )  # fmt: skip
    return whole


def _records(record: type[R], kept: pa.Table | None) -> list[R] | None:
    return None if kept is None else to_records(record, kept)


def _about(problems: pa.Table, rows: pa.Table) -> pa.Table:
    """The rows of responses, or of grades, that belong to the problems."""
    return rows.filter(pc.is_in(rows["problem_id"], value_set=problems["problem_id"].combine_chunks()))


def _solutions(
    problems: pa.Table, responses: pa.Table, passes: Mapping[str, pa.Table], others: Mapping[str, pa.Table]
) -> list[Solution]:
    by_id = {p.problem_id: p for p in to_records(Problem, problems)}
    by_role = {role: to_records(TokenLogprobs, table) for role, table in passes.items()}
    by_other = {name: to_records(StepScores, table) for name, table in others.items()}
    totals = {name: _member_scores(records, others[name]) for name, records in by_other.items()}
    solutions = []
    for row, response in enumerate(to_records(Response, responses)):
        roles = {role: records[row] for role, records in by_role.items()}
        about = [(tokens.problem_id, tokens.sample) for tokens in roles.values()]
        about += [(records[row].problem_id, records[row].sample) for records in by_other.values()]
        if any(place != (response.problem_id, response.sample) for place in about):
            raise RuntimeError("what a reward model reads is not aligned with its responses")
        scores = {name: member[row] for name, member in totals.items()}
        solutions.append(Solution(by_id[response.problem_id], response, roles, scores))
    return solutions


def _member_scores(records: Sequence[StepScores], stored: pa.Table) -> list[MemberScore]:
    """The scores of a reward model in its own aggregation, from a shard of them."""
    meta = table_meta(stored)
    scored = [r for r in records if r.step_rewards]
    flat = np.array([reward for r in scored for reward in r.step_rewards], dtype=np.float64)
    lengths = np.array([len(r.step_rewards) for r in scored], dtype=np.int64)
    totals = iter(aggregate(flat, lengths, meta["aggregation"], meta["score_type"]).tolist())
    return [MemberScore(next(totals) if r.step_rewards else None, meta["score_type"]) for r in records]


def _described(component: Component[Any]) -> ModelFacts | None:
    facts: Any = component.describe()
    if isinstance(facts, dict):  # an adapter of before 0.2
        return ModelFacts(facts["config"], str(facts.get("device", ""))) if facts.get("config") else None
    return facts  # type: ignore[no-any-return]


def _count(result: Result, facts: ModelFacts | None, sequences: Iterable[tuple[str, int, int]]) -> ModelShape | None:
    """Add tokens and FLOPs of (problem_id, prompt tokens, response tokens): one prefill per problem. Returns the shape
    of the model, where it is known."""
    shape = ModelShape.from_config(facts.config, facts.output_head) if facts else None
    if facts and shape:
        result.device = facts.device
        result.meta["shape"] = asdict(shape)
    rows: Sequence[tuple[str, int, int]] = list(sequences)
    for _, group in groupby(rows, key=lambda row: row[0]):
        lengths = list(group)
        prompt = lengths[0][1]
        result.prompt_tokens += prompt
        result.completion_tokens += sum(tokens for _, _, tokens in lengths)
        if shape:
            result.flops += shape.forward(prompt) + sum(shape.forward(t, past=prompt) for _, _, t in lengths)
    return shape


def _count_weighed(result: Result, shape: ModelShape | None, weighed: Sequence[Weighed]) -> None:
    """Add what was read again to weigh the answers in replies. (What a cache held cost nothing.)"""
    for one in weighed:
        result.prompt_tokens += one.n_read
        if shape:
            result.flops += shape.forward(one.n_read, past=one.n_cached)
