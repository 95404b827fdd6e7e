"""What KTO's reference makes of mismatched responses, computed once, before the policy moves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist

from bonbench.reward_models.training.job import CHECKPOINTS, Job
from bonbench.reward_models.training.model_losses import ImplicitLoss, ModelLoss, row_sums
from bonbench.reward_models.training.params import ImplicitTrainerParams, TrainingParams
from bonbench.reward_models.training.precision import bfloat16, weights_dtype
from bonbench.reward_models.training.sequences import Sequences
from bonbench.reward_models.training.step import summed
from harness.core.files import replacing

_FILE = "mismatched-reference.npy"


def mismatched_reference(
    job: Job, loss: ModelLoss[TrainingParams], device: torch.device
) -> npt.NDArray[np.float64] | None:
    """Log-probability of every mismatched response under the reference [rollouts]; None where there are none.

    Each worker reads a part of them. The results are kept beside the checkpoints, for when the training is resumed.
    """
    params = job.params
    if (
        job.rollouts.mismatched is None
        or not isinstance(loss, ImplicitLoss)
        or not isinstance(params, ImplicitTrainerParams)
    ):
        return None
    sequences = job.rollouts.mismatched.sequences
    if params.reference is None:
        return np.zeros(len(sequences))
    file = job.output / CHECKPOINTS / _FILE
    if not file.exists():  # so say all workers: the first one writes it after all have got here
        sums = summed(_logprobs(loss, sequences, params, params.reference, device).to(device)).cpu()
        if not dist.is_initialized() or dist.get_rank() == 0:
            with replacing(file) as temporary, temporary.open("wb") as stream:
                np.save(stream, sums.numpy())
        if dist.is_initialized():
            dist.barrier()
    values: npt.NDArray[np.float64] = np.load(file)
    return values


@torch.inference_mode()
def _logprobs(
    loss: ImplicitLoss, sequences: Sequences, params: ImplicitTrainerParams, reference: str, device: torch.device
) -> torch.Tensor:
    """Float64 [rollouts], 0 where another worker has the value."""
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    model = loss.load(reference).to(device, weights_dtype(params)).eval()
    sums = torch.zeros(len(sequences), dtype=torch.float64)
    mine = np.argsort(-sequences.lengths, kind="stable")[rank::world]
    while len(mine):
        size = max(1, params.max_batch_tokens // int(sequences.lengths[mine[0]]))
        members, mine = mine[:size], mine[size:]
        batch = {name: torch.from_numpy(array).to(device) for name, array in sequences.batch(members).items()}
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16(params)):
            outputs = loss.forward(model, batch["input_ids"], batch["rows"], batch["columns"])
        sums[members] = row_sums(outputs, batch).double().cpu()
    return sums
