"""What a run would do and cost: per stage what is stored, and tokens, FLOPs, GPU-hours and disk of the rest.

Nothing runs and nothing is fetched. Counts of stored shards are exact; lengths are measured in stored shards where
there are any, else assumed; FLOPs follow ``harness.cost_model.shape``, as the ledger of a run does; time follows
``harness.cost_model.gpus``. Whatever was assumed is said.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from harness.core.stages import StageKind, Task
from harness.core.verifications import Verifications
from harness.cost_model import gpus as hardware
from harness.cost_model.gpus import Footprint, Gpu
from harness.cost_model.known_models import model_sizes
from harness.cost_model.shape import ModelShape
from harness.engine import plan_notes as notes
from harness.engine.graph import Graph, Node, Shard, Stage, Training
from harness.engine.lengths import CHARACTERS_PER_TOKEN, Lengths, ResponseLengths, by_source, some_of
from harness.engine.too_long import too_long_lines

#: Bytes per response token or per response of a stage's shards: mathematical solutions in compressed Parquet.
TEXT_BYTES, PASS_BYTES = 0.6, 8.0
GRADE_BYTES, SCORE_BYTES = 5.0, 80.0
#: Steps of a response, where completions after each are planned: few, as expected, and many.
FEW_STEPS, STEPS, MANY_STEPS = 5, 8, 12
_WRITES = (Task.SAMPLE, Task.COMPLETE, Task.VERIFY)  # tasks that sample text
_LEDGER_BYTES = 3500  # the ledger's file beside each shard


#: How the number of questions grows with the N responses to a problem.
_PER_PROBLEM = {
    "response": "a question for each response",
    "step": "a question for each step of each response",
    "pair": "N (N - 1) questions for the N responses to a problem",
    "group": "a question with all N responses for each reply",
}


def _responses(shards: Iterable[Shard]) -> int:
    return sum(shard.n_responses for shard in shards)


@dataclass(frozen=True)
class PlannedStage:
    """One stage: shards stored and missing, and what the missing ones need. Replies to questions count as responses.

    ``prompt_tokens`` counts a problem's prompt once for all of its responses. None means unknown, because the model's
    architecture is. ``gpu_hours`` is the work of busy GPUs, 0 where no model runs. ``weights`` are the bytes of the
    model that runs, and ``on_cpus`` says that it runs without GPUs: ``gpu_hours`` is then what GPUs would take.
    ``requests`` are those that a server is asked.
    """

    kind: StageKind
    who: str
    stored: int
    missing: int
    responses: int
    prompt_tokens: int = 0
    response_tokens: int = 0
    flops: float | None = 0.0
    gpu_hours: float | None = 0.0
    disk: float | None = 0.0
    weights: float = 0.0
    on_cpus: bool = False
    requests: int = 0


@dataclass(frozen=True)
class Plan:
    """The stages in the order of the graph's nodes, and what their numbers rest on: tokens of a response and steps of
    one, where nothing is stored to tell, and all else in words."""

    stages: list[PlannedStage]
    tokens: int
    steps: int
    assumptions: list[str]


@dataclass(frozen=True)
class _Work:
    """What a model has to do: prompts that it reads once, and the responses after them, which it reads or samples."""

    prompts: int
    responses: int
    prompt_tokens: float
    response_tokens: float

    @property
    def lengths(self) -> Lengths:
        return Lengths(self.prompt_tokens / self.prompts, self.response_tokens / self.responses)


@dataclass(frozen=True)
class _Model:
    shape: ModelShape
    footprint: Footprint


def plan(graph: Graph, gpu: Gpu, tokens_per_response: int) -> Plan:
    """Plan every stage of the graph.

    Args:
        gpu: what the GPU-hours are of.
        tokens_per_response: mean length assumed where none is stored; sampling.max_tokens caps it.
    """
    return Planner(graph, gpu).plan(tokens_per_response)


def planned_stages(graph: Graph, gpu: Gpu, tokens_per_response: int) -> list[PlannedStage]:
    """The stages of the :func:`plan` alone, in the order of the graph's nodes."""
    return Planner(graph, gpu).stages(tokens_per_response, STEPS)


class Planner:
    """Plans a graph, for one assumption or several. What is stored is looked up once."""

    def __init__(self, graph: Graph, gpu: Gpu) -> None:
        self._graph, self._gpu = graph, gpu
        self._limit = graph.experiment.sampling.max_tokens
        self._models: dict[tuple[str, bool], _Model | None] = {}
        self._missing = {stage: [s for s in stage.shards if not s.stored(graph.results)] for stage in graph.stages}
        self._lengths = ResponseLengths(graph, self._limit)
        self._forget(self._limit, STEPS)

    def _forget(self, tokens: int, steps: int) -> None:
        self._assumed, self._steps = min(tokens, self._limit), steps
        self._lengths = self._lengths.assuming(self._assumed)
        self._in_flight: dict[str, str] = {}  # generator -> responses at once
        self._reads: dict[str, float] = {}  # trained reward model -> reads per rollout
        self._waiting = 0.0  # of a training's workers for the slowest one, at most
        self._notes: dict[str, None] = {}  # in order, each once

    def stages(self, tokens_per_response: int, steps: int) -> list[PlannedStage]:
        """The planned stages alone."""
        self._forget(tokens_per_response, steps)
        return [self._planned(node) for node in self._graph.nodes]

    def plan(self, tokens_per_response: int) -> Plan:
        """The plan as expected."""
        stages = self.stages(tokens_per_response, STEPS)
        long = too_long_lines(self._graph, self._graph.nodes)
        return Plan(stages, self._assumed, STEPS, [*self._general(), *self._notes, *long])

    def low_and_high(self, tokens_per_response: int) -> tuple[Plan, Plan]:
        """Plans for responses half as long with few steps, and twice as long with many."""
        bounds = (tokens_per_response // 2 or 1, FEW_STEPS), (2 * tokens_per_response, MANY_STEPS)
        low, high = (Plan(self.stages(*bound), self._assumed, self._steps, []) for bound in bounds)
        return low, high

    def missing(self, stage: Stage) -> list[Shard]:
        """The shards that are not stored."""
        return self._missing[stage]

    # -- stages -----------------------------------------------------------------------------------------------

    def _planned(self, node: Node) -> PlannedStage:
        if isinstance(node, Training):
            return self._training(node)
        assert isinstance(node, Stage)
        return self._stage(node)

    def _stage(self, stage: Stage) -> PlannedStage:
        missing = self._missing[stage]
        parts = [self._work(stage, folder, shards) for folder, shards in by_source(missing).items()]
        prompt, response = sum(w.prompt_tokens for w in parts), sum(w.response_tokens for w in parts)
        row = PlannedStage(
            kind=stage.kind,
            who=stage.who,
            stored=len(stage.shards) - len(missing),
            missing=len(missing),
            responses=sum(w.responses for w in parts) if stage.task is Task.VERIFY else _responses(missing),
            disk=self._disk(stage, missing, response),
            requests=self._requests(stage, parts),
        )
        path = stage.model
        if missing and stage.task is Task.VERIFY:
            n_questions, replies = sum(w.prompts for w in parts), sum(w.responses for w in parts)
            growth = _PER_PROBLEM[stage.arguments["asked"].per]
            self._note(
                f"{stage.kind} {stage.who}: {n_questions:,} questions, {replies:,} replies, each a request where a "
                f"server is asked: {growth} (equal responses are asked about once)."
            )
            row = replace(row, prompt_tokens=round(prompt), response_tokens=round(response))
        if not missing or path is None:
            return row
        on_cpus = stage.spec.pool.num_gpus == 0
        row = replace(row, prompt_tokens=round(prompt), response_tokens=round(response), on_cpus=on_cpus)
        model = self._model(path, stage.spec.cls.output_head)
        if model is None:
            return replace(row, flops=None, gpu_hours=None)
        row, flops, seconds = replace(row, weights=model.footprint.weights), 0.0, 0.0
        for work in parts:
            prompt_length, response_length = round(work.lengths.prompt), round(work.lengths.response)
            reading = work.prompts * model.shape.forward(prompt_length)
            answering = work.responses * model.shape.forward(response_length, past=prompt_length)
            flops += reading + answering
            if stage.task in _WRITES:
                seconds += hardware.forward_s(self._gpu, reading)
                seconds += self._decode_s(stage, model, work, answering)
            else:
                seconds += hardware.forward_s(self._gpu, reading + answering)
        if stage.task not in _WRITES and not self._fits(stage, model):
            seconds = math.inf
        return replace(row, flops=flops, gpu_hours=seconds / 3600 if math.isfinite(seconds) else None)

    def _training(self, training: Training) -> PlannedStage:
        if training.is_done(self._graph.results):
            return PlannedStage(training.kind, training.who, stored=1, missing=0, responses=0)
        tokens = [self._tokens(folder, shards) for folder, shards in by_source(training.rollouts).items()]
        prompt = sum(prompts for prompts, _ in tokens) / sum(len(s.problems) for s in training.rollouts)
        response = sum(responses for _, responses in tokens) / sum(s.n_responses for s in training.rollouts)
        each = round(training.n_responses / len(training.problems))  # over all sets
        reads = training.spec.cls.reads_per_rollout(training.spec.params.model_copy(update={"responses": each}))
        self._reads[training.who] = reads
        sequences = training.n_responses * reads
        row = PlannedStage(
            kind=training.kind,
            who=training.who,
            stored=0,
            missing=1,
            responses=training.n_responses,
            prompt_tokens=round(sequences * prompt),
            response_tokens=round(sequences * response),
            on_cpus=training.params.gpus_per_worker == 0,
        )
        model = self._model(training.params.base, training.spec.cls.output_head)
        if model is None:
            return replace(row, flops=None, gpu_hours=None, disk=None)
        length = prompt + response
        flops = float(model.shape.training(round(sequences * length), round(sequences * length * (length + 1) / 2)))
        effort = training.spec.cls.effort(training.spec.params)
        self._waiting = max(self._waiting, effort.waiting)
        hours = hardware.training_s(self._gpu, flops * effort.work, effort.sharded) * (1 + effort.waiting) / 3600
        weights = model.footprint.weights
        return replace(row, flops=flops, gpu_hours=hours, disk=weights, weights=weights)

    # -- what they are made of --------------------------------------------------------------------------------

    def _work(self, stage: Stage, folder: str, shards: Sequence[Shard]) -> _Work:
        """What the shards of a stage do with the responses in ``folder``."""
        prompt, response = self._tokens(folder, shards)
        problems, responses = sum(len(s.problems) for s in shards), _responses(shards)
        if stage.task is Task.VERIFY:
            return self._questions(stage, shards, prompt / problems, response / responses)
        if stage.task is not Task.COMPLETE:
            return _Work(problems, responses, prompt, response)
        n = stage.arguments["sampling"].n
        steps = self._steps
        self._note(f"Completions: {steps} steps per response, {n} completions after each but the last, half as long.")
        if "labels" in shards[0].inputs:
            self._note(f"{stage.kind} {stage.who}: as if no step had a right completion yet, the most there can be.")
        prefixes = responses * (steps - 1)
        begun = prompt / problems + response / responses / 2
        return _Work(prefixes, prefixes * n, prefixes * begun, prefixes * n * response / responses / 2)

    def _questions(self, stage: Stage, shards: Sequence[Shard], prompt: float, response: float) -> _Work:
        """The questions that are asked, and the replies, from the mean lengths of a prompt and of a response."""
        asked: Verifications = stage.arguments["asked"]
        n_questions = sum(
            asked.n_questions(shard.n_responses // len(shard.problems), self._steps) * len(shard.problems)
            for shard in shards
        )
        replies = n_questions * asked.sampling.n
        most = max(shard.n_responses // len(shard.problems) for shard in shards)
        shown = {"pair": 2, "group": most}.get(asked.per, 1)
        if lengths := self._lengths.of_replies(stage):
            question, reply = lengths.prompt, lengths.response
            self._note(f"{stage.kind} {stage.who}: {reply:.0f} tokens per reply, as measured in stored shards.")
        else:
            around = (len(asked.template) + len(asked.begins)) / CHARACTERS_PER_TOKEN
            question, reply = around + prompt + shown * response, float(min(self._assumed, asked.max_tokens))
            self._note(f"{stage.kind} {stage.who}: {reply:.0f} tokens per reply, as assumed for a response.")
        return _Work(n_questions, replies, n_questions * question, replies * reply)

    def _requests(self, stage: Stage, parts: Sequence[_Work]) -> int:
        """The requests to a server that the missing shards of a stage take."""
        n = stage.spec.cls.requests(stage.spec.params, sum(work.responses for work in parts)) if parts else 0
        if n:
            self._note(f"{stage.kind} {stage.who}: {n:,} requests to a server.")
        return n

    def _tokens(self, folder: str, shards: Sequence[Shard]) -> tuple[float, float]:
        """Prompt tokens (once per problem) and response tokens of shards whose responses are in ``folder``."""
        if lengths := self._lengths.measured(folder, shards):
            self._note(f"{folder}: {lengths.response:.0f} tokens per response, as measured in stored shards.")
        return self._lengths.tokens(folder, shards)

    def _model(self, path: str, output_head: bool) -> _Model | None:
        """What is known of a model, with or without its output head; one still to be trained is like its base."""
        path = self._graph.untrained(path)
        if (path, output_head) not in self._models:
            sizes = model_sizes(path)
            model = _Model(ModelShape.of(sizes, output_head), Footprint.of(sizes, output_head)) if sizes else None
            self._models[path, output_head] = model
            if model is None:
                self._note(f"{path}: architecture unknown here, so its FLOPs and GPU-hours are not in the total.")
        return self._models[path, output_head]

    def _fits(self, stage: Stage, model: _Model) -> bool:
        """Whether a model that reads fits on what the entry asks for; a note where one GPU is too few."""
        needed, asked = hardware.gpus_to_read(self._gpu, model.footprint), math.ceil(stage.spec.pool.num_gpus)
        fits = asked == 0 or asked >= needed  # an entry for CPUs has no GPUs to count: what it would take here
        if needed > 1:
            size = model.footprint.weights / 1e9
            advice = "" if asked >= needed else f": set num_gpus: {needed}"
            self._note(f"{stage.kind} {stage.who}: {size:.0f} GB of weights need {needed} x {self._gpu.name}{advice}.")
        return fits

    def _decode_s(self, stage: Stage, model: _Model, work: _Work, flops: float) -> float:
        """GPU-seconds to sample; infinite, with a note, where the weights do not fit on what the entry asks for."""
        lengths = work.lengths
        tokens = lengths.prompt + lengths.response
        # An entry for CPUs has no GPUs to count: what it would take here.
        gpus = math.ceil(stage.spec.pool.num_gpus) or hardware.gpus_needed(self._gpu, model.footprint, tokens)
        limit = stage.spec.cls.max_sequences(stage.spec.params)
        sequences = hardware.concurrent(self._gpu, model.footprint, gpus, tokens, limit)
        if not sequences:
            size = model.footprint.weights / 1e9
            self._note(f"{stage.who}: {size:.0f} GB of weights do not fit on {gpus} x {self._gpu.name}.")
            return math.inf
        self._in_flight[stage.who] = f"{sequences} on {gpus}"
        context = lengths.prompt + lengths.response / 2
        return hardware.decode_s(self._gpu, model.footprint, flops, work.response_tokens, context, sequences)

    def _disk(self, stage: Stage, missing: Sequence[Shard], response_tokens: float) -> float:
        """Bytes that the missing shards will take: as the stored ones do, else as assumed."""
        responses = sum(s.n_responses for s in missing)
        absent = set(missing)
        if stored := some_of([s for s in stage.shards if s not in absent]):
            size = sum(s.path(self._graph.results).stat().st_size for s in stored)
            data = size / sum(s.n_responses for s in stored) * responses
        else:
            data = {
                Task.SAMPLE: TEXT_BYTES * response_tokens,
                Task.COMPLETE: TEXT_BYTES * response_tokens,
                Task.VERIFY: TEXT_BYTES * response_tokens,
                Task.TOKEN_PASS: PASS_BYTES * response_tokens,
                Task.GRADE: GRADE_BYTES * responses,
            }.get(stage.task, SCORE_BYTES * responses)
        return data + _LEDGER_BYTES * len(missing)

    # -- what was assumed -------------------------------------------------------------------------------------

    def _note(self, text: str) -> None:
        self._notes[text] = None

    def _general(self) -> Iterable[str]:
        yield from self._graph.notes
        yield from notes.about_lengths(self._graph, self._assumed)
        yield from notes.about_gpus(self._gpu)
        yield from notes.about_sampling(self._in_flight)
        yield from notes.about_reads(self._reads, self._waiting)
        yield (
            f"Disk: {TEXT_BYTES:g} bytes per token of text and {PASS_BYTES:g} per token of a pass, where no "
            "shard is stored to measure; models in bf16."
        )
