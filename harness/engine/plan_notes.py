"""What a plan assumes, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.cost_model import gpus as hardware
from harness.cost_model.gpus import Gpu
from harness.engine.graph import Graph
from harness.engine.lengths import CHARACTERS_PER_TOKEN, TEMPLATE_TOKENS
from harness.experiment.problem_sets import STAND_IN_CHARACTERS


def about_lengths(graph: Graph, tokens: int) -> Iterator[str]:
    """How long prompts and responses are taken to be, where nothing is stored."""
    limit = graph.experiment.sampling.max_tokens
    bound = f"; sampling.max_tokens bounds it at {limit}" if limit > tokens else ""
    yield f"{tokens} tokens per response where none is stored (--tokens-per-response){bound}."
    yield (
        f"Prompts: {CHARACTERS_PER_TOKEN} characters per token and {TEMPLATE_TOKENS} tokens of chat template; counted "
        "once per problem."
    )
    for name in graph.stand_ins:
        yield (
            f"problems.{name} is not on this machine: {len(graph.problems[name])} problems of {STAND_IN_CHARACTERS} "
            "characters stand in for it, and nothing made from it counts as stored."
        )


def about_gpus(gpu: Gpu) -> Iterator[str]:
    """What the GPU does, and how much of it software reaches."""
    yield f"GPU-hours on {gpu.name}: {gpu.flops / 1e12:.0f} TFLOP/s dense bf16, {gpu.bandwidth / 1e12:.3g} TB/s."
    yield f"Reading text reaches {_percent(hardware.FORWARD_MFU)} of the peak."
    yield (
        f"Sampling reaches {_percent(hardware.DECODE_EFFICIENCY)} of what memory traffic or arithmetic, whichever is "
        "more, would allow; replicas never run dry."
    )
    yield (
        f"Training reaches {_percent(hardware.TRAINING_MFU)} of the peak, {_percent(hardware.SHARDED_TRAINING_MFU)} "
        "with fsdp. gradient_checkpointing computes one forward pass more, which FLOPs do not count."
    )


def about_sampling(in_flight: Mapping[str, str]) -> Iterator[str]:
    """How many responses a replica samples at once: generator -> text."""
    if in_flight:
        each = ", ".join(f"{who} {text}" for who, text in in_flight.items())
        yield f"Responses sampled at once per replica, as memory and max_num_seqs allow, on so many GPUs: {each}."


def about_reads(reads: Mapping[str, float], waiting: float) -> Iterator[str]:
    """How often trainings read a rollout, and what ``waiting`` for the slowest worker adds."""
    groups: dict[str, list[str]] = {}
    for who, times in reads.items():
        groups.setdefault(f"{times:.3g}", []).append(who)
    if groups:
        each = "; ".join(f"{times} {', '.join(names)}" for times, names in groups.items())
        yield f"Training reads each rollout so often (epochs, share in pairs; LoRA two thirds): {each}."
    if waiting:
        yield "Share in pairs: a problem's share of right rollouts is anything from 0 to 1 alike."
        yield f"Pairs: padding, and waiting for the slowest worker, take {_percent(waiting)} more time."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
