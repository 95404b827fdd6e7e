"""How long a GPU takes: data sheets, and a roofline for each kind of work.

Reading a text (scoring, a prompt, training) multiplies large matrices: it runs at a share of the peak. Sampling reads
every weight once per token step, shared by the sequences in flight, and each sequence's cached keys and values: a step
takes the larger of that traffic over the bandwidth and its arithmetic over the peak (Williams et al. 2009, "Roofline";
Pope et al. 2022, "Efficiently Scaling Transformer Inference", section 2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.core.model_sizes import ModelSizes


@dataclass(frozen=True)
class Gpu:
    """A data sheet: dense bfloat16 FLOP/s, bytes/s of memory traffic, bytes of memory; and how many sequences vLLM
    samples at once on such a card where nobody says."""

    name: str
    flops: float
    bandwidth: float
    memory: float
    sequences: int = 256


GPUS = {
    "a100": Gpu("A100 SXM 80 GB", 312e12, 2.039e12, 80e9),
    "a100-40gb": Gpu("A100 SXM 40 GB", 312e12, 1.555e12, 40e9),
    "h100": Gpu("H100 SXM 80 GB", 989e12, 3.35e12, 80e9, 1024),
    "h200": Gpu("H200 SXM 141 GB", 989e12, 4.8e12, 141e9, 1024),
    "l40s": Gpu("L40S 48 GB", 362e12, 0.864e12, 48e9),
    "rtx4090": Gpu("RTX 4090 24 GB", 165e12, 1.008e12, 24e9),
    "l4": Gpu("L4 24 GB", 121e12, 0.3e12, 24e9),
}

#: Shares of the data sheet that well-made software reaches: what is assumed, not measured.
FORWARD_MFU = 0.4
TRAINING_MFU = 0.35  # of the arithmetic that is done, recomputation included
SHARDED_TRAINING_MFU = 0.3  # where each layer's weights are gathered before it is computed
DECODE_EFFICIENCY = 0.6  # of whichever roof is the lower
CPU_FLOPS = 30e9  # of one core, in float32
USABLE_MEMORY = 0.9
WEIGHTS_MEMORY = 0.8  # for the weights of a model that reads text; the rest is for what it computes
_BYTES = 2  # of a bfloat16 number
_ENOUGH = 256  # sequences that keep a card busy


@dataclass(frozen=True)
class Footprint:
    """Bytes a model takes in bfloat16: its weights, and the keys and values of one token."""

    weights: float
    cache_per_token: float

    @classmethod
    def of(cls, sizes: ModelSizes, output_head: bool = True) -> Footprint:
        """The footprint of a model of these sizes, all of its experts included."""
        weights = sizes.layers * sizes.layer(sizes.experts) + sizes.embedding
        if output_head and not sizes.tied:
            weights += sizes.embedding
        return cls(_BYTES * weights, _BYTES * sizes.cache_per_token)


def forward_s(gpu: Gpu, flops: float) -> float:
    """GPU-seconds to read text with a model."""
    return flops / (gpu.flops * FORWARD_MFU)


def training_s(gpu: Gpu, flops: float, sharded: bool = False) -> float:
    """GPU-seconds to train, with all of a model's weights on each GPU, or ``sharded``."""
    return flops / (gpu.flops * (SHARDED_TRAINING_MFU if sharded else TRAINING_MFU))


def concurrent(gpu: Gpu, footprint: Footprint, gpus: int, tokens: float, limit: int | None = None) -> int:
    """Sequences of ``tokens`` tokens that a replica on ``gpus`` GPUs holds at once; 0 if its weights do not fit.

    ``limit`` is the number that the user sets; by default it is that of the card.
    """
    room = gpus * gpu.memory * USABLE_MEMORY - footprint.weights
    return max(0, min(limit or gpu.sequences, math.floor(room / (footprint.cache_per_token * tokens))))


def gpus_needed(gpu: Gpu, footprint: Footprint, tokens: float) -> int:
    """The smallest power of two of GPUs that hold the weights and 256 sequences of ``tokens`` tokens."""
    needed = footprint.weights + _ENOUGH * tokens * footprint.cache_per_token
    return 1 << max(0, math.ceil(math.log2(needed / (gpu.memory * USABLE_MEMORY))))


def gpus_to_read(gpu: Gpu, footprint: Footprint) -> int:
    """The fewest GPUs that hold the weights of a model which reads text, with room for a batch."""
    return math.ceil(footprint.weights / (gpu.memory * WEIGHTS_MEMORY))


def decode_s(gpu: Gpu, footprint: Footprint, flops: float, tokens: float, context: float, sequences: int) -> float:
    """GPU-seconds to sample ``tokens`` tokens (``flops`` in all) behind ``context`` cached ones on average.

    ``sequences`` run at once, so each of the ``tokens / sequences`` steps reads the weights once and every sequence's
    cache. Tensor parallelism divides both traffic and time, so GPU-seconds do not depend on it (its communication
    aside, which is not counted).
    """
    traffic = tokens / sequences * footprint.weights + tokens * context * footprint.cache_per_token
    return max(traffic / gpu.bandwidth, flops / gpu.flops) / DECODE_EFFICIENCY
