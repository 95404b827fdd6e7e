"""How long prompts and responses are, for a plan: measured in stored shards, else assumed."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UserError
from harness.core.stages import Task
from harness.engine.graph import Graph, Shard, Stage
from harness.storage.shards import read_shard

CHARACTERS_PER_TOKEN = 4
TEMPLATE_TOKENS = 40  # what a chat template adds to a problem
_MEASURED_SHARDS = 32  # at most so many stored shards are read to measure lengths


@dataclass(frozen=True)
class Lengths:
    """Mean lengths: tokens per prompt, and tokens per response."""

    prompt: float
    response: float


class ResponseLengths:
    """The lengths of an experiment's responses. Where none of a folder is stored, another folder of the same generator
    serves; else a response has ``assumed`` tokens."""

    def __init__(self, graph: Graph, assumed: int) -> None:
        self._assumed = assumed
        self._by_folder: dict[str, Lengths] = {}
        self._by_generator: dict[str, Lengths] = {}
        self._replies: dict[str, Lengths] = {}
        for stage in graph.stages:
            for folder, shards in by_source(stage.shards).items() if stage.task is Task.SAMPLE else ():
                if lengths := _mean_lengths(shards, graph.results):
                    self._by_folder[folder] = lengths
                    self._by_generator.setdefault(shards[0].generator, lengths)

            if stage.task is Task.VERIFY and (lengths := _mean_lengths(stage.shards, graph.results)):
                self._replies[stage.who] = lengths

    def of_replies(self, stage: Stage) -> Lengths | None:
        """Mean lengths of the questions and the replies of a stage; None where none are stored."""
        return self._replies.get(stage.who)

    def assuming(self, tokens: int) -> ResponseLengths:
        """The same, with another number of tokens where nothing is stored."""
        other = copy.copy(self)
        other._assumed = tokens
        return other

    def measured(self, folder: str, shards: Sequence[Shard]) -> Lengths | None:
        """Mean lengths of the responses in ``folder``, which the shards are or read; None where none are stored."""
        return self._by_folder.get(folder) or self._by_generator.get(shards[0].generator)

    def tokens(self, folder: str, shards: Sequence[Shard]) -> tuple[float, float]:
        """Prompt tokens (once per problem) and response tokens of shards whose responses are in ``folder``."""
        problems, responses = sum(len(s.problems) for s in shards), sum(s.n_responses for s in shards)
        if lengths := self.measured(folder, shards):
            return problems * lengths.prompt, responses * lengths.response
        characters = sum(len(p.problem) for shard in shards for p in shard.problems)
        return characters / CHARACTERS_PER_TOKEN + TEMPLATE_TOKENS * problems, responses * float(self._assumed)


def by_source(shards: Iterable[Shard]) -> dict[str, list[Shard]]:
    """Shards by the folder of the responses that they are or read."""
    groups: dict[str, list[Shard]] = {}
    for shard in shards:
        groups.setdefault(shard.inputs.get("responses", shard).folder, []).append(shard)
    return groups


def some_of(shards: Sequence[Shard]) -> Sequence[Shard]:
    """A few of the shards, evenly spread, to measure."""
    return shards[:: -(-len(shards) // _MEASURED_SHARDS) or 1]


def _mean_lengths(shards: Sequence[Shard], results: Path) -> Lengths | None:
    """None where no shard is stored, or recorded responses do not say how long they are."""
    prompt = response = responses = 0
    for shard in some_of([s for s in shards if s.stored(results)]):
        try:
            table = read_shard(shard.path(results), ["n_prompt_tokens", "n_tokens"])
        except UserError:  # who needs the shard for more than its length says what is wrong with it
            continue
        prompt += sum(table.column("n_prompt_tokens").to_pylist())
        response += sum(table.column("n_tokens").to_pylist())
        responses += len(table)
    return Lengths(prompt / responses, response / responses) if response else None
