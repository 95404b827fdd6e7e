"""What a training worker does: the `transformers` Trainer on micro-batches of rollouts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MethodType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, Dataset, default_convert
from transformers import (
    AutoTokenizer,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging as transformers_logging

from bonbench.reward_models.lm.causal_lm import avoid_cudnn_attention
from bonbench.reward_models.training.batches import MicroBatch, accumulation_steps, epoch_batches, split
from bonbench.reward_models.training.checkpoints import Checkpoints, last_checkpoint, steps_done
from bonbench.reward_models.training.data import Rollouts
from bonbench.reward_models.training.history import Curves, StepSums, steps_of, summary, tensorboard
from bonbench.reward_models.training.job import CHECKPOINTS, Job
from bonbench.reward_models.training.model_losses import MODEL_LOSSES, Batch, ModelLoss
from bonbench.reward_models.training.pairs import Indices
from bonbench.reward_models.training.params import TrainingParams
from bonbench.reward_models.training.reference import bfloat16, mismatched_reference
from bonbench.reward_models.training.sequences import Sequences
from harness.core.components import TrainingFacts
from harness.core.hub_models import pretrained
from harness.core.workers import Progress


def train_worker(job: Job, progress: Progress) -> TrainingFacts:
    """Train on this worker's part of every batch; the first worker writes the model and returns the facts."""
    params, rollouts, output = job.params, job.rollouts, job.output
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    torch.set_num_threads(params.cpus_per_worker)
    avoid_cudnn_attention()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    set_seed(params.seed)

    schedule = Schedule.of(rollouts, params, world)
    args = _arguments(params, output, schedule)
    loss = MODEL_LOSSES[job.loss](params)
    crossed = mismatched_reference(job, loss, args.device)
    tokenizer = AutoTokenizer.from_pretrained(**pretrained(params.base))
    base = loss.load(job.model)
    stored_dtype = base.dtype
    model = base.float()
    model.forward = MethodType(loss.forward, model)

    resumed = last_checkpoint(output / CHECKPOINTS)
    mine = schedule.pieces[rank::world][steps_done(resumed) * schedule.accumulation :]
    trainer = JudgingTrainer(loss, model=model, args=args, train_dataset=_MicroBatches(rollouts, mine, crossed))
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Checkpoints())
    trainer.add_callback(Curves(trainer.sums, trainer.log, progress))
    if params.tensorboard:
        trainer.add_callback(tensorboard(output))
    trainer.train(resume_from_checkpoint=None if resumed is None else str(resumed))

    loss.finish(model, tokenizer)
    trainer.save_model(str(output))
    history = steps_of(trainer.state)
    if rank == 0:
        (output / "training_args.bin").unlink(missing_ok=True)
        if stored_dtype != torch.float32:
            loss.load(str(output), stored_dtype).save_pretrained(output)
        tokenizer.save_pretrained(output)
        (output / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in history))
    return TrainingFacts(
        config=model.config.to_dict(),
        device=str(args.device),
        output_head=model.get_output_embeddings() is not None,
        **schedule.costs(rollouts, loss.with_reference),
        extra={"steps": schedule.steps, **summary(history)},
    )


@dataclass(frozen=True, slots=True)
class Schedule:
    """The micro-batches of all workers in training order, worker by worker, ``accumulation`` per worker and step."""

    pieces: list[MicroBatch]
    accumulation: int
    steps: int

    @classmethod
    def of(cls, rollouts: Rollouts, params: TrainingParams, workers: int) -> Schedule:
        rng = np.random.default_rng(params.seed)
        examples, n_terms, lengths = rollouts.examples, rollouts.n_terms, rollouts.sequences.lengths
        epochs = [
            epoch_batches(examples, rollouts.units, lengths, params.batch_size, rng) for _ in range(params.epochs)
        ]
        accumulation = accumulation_steps(epochs, examples, n_terms, lengths, workers, params.max_batch_tokens)
        pieces = [
            piece
            for batches in epochs
            for batch in batches
            for piece in split(batch, examples, n_terms, accumulation * workers)
        ]
        return cls(pieces, accumulation, sum(map(len, epochs)))

    def costs(self, rollouts: Rollouts, with_reference: bool) -> dict[str, int]:
        """All workers' tokens and positions that went through forward and backward, or forward alone."""
        members = np.concatenate([piece.rollouts for piece in self.pieces])
        costs = _sizes("train", rollouts.sequences, members)
        if rollouts.mismatched is not None:
            # Once by the reference, where there is one, and by the policy in every step.
            crossed = rollouts.mismatched.sequences
            once = np.arange(len(crossed) if with_reference else 0)
            costs |= _sizes("forward", crossed, np.concatenate([members, once]))
        return costs


def _sizes(what: str, sequences: Sequences, members: Indices) -> dict[str, int]:
    return {
        f"{what}_tokens": int(sequences.lengths[members].sum()),
        f"{what}_positions": int(sequences.positions()[members].sum()),
    }


def _arguments(params: TrainingParams, output: Path, schedule: Schedule) -> TrainingArguments:
    on_gpu = params.gpus_per_worker > 0
    return TrainingArguments(
        output_dir=str(output / CHECKPOINTS),
        max_steps=schedule.steps,
        gradient_accumulation_steps=schedule.accumulation,
        learning_rate=params.lr,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": params.min_lr},
        # Rounded down: the first step of a warm-up has a rate of 0, and the only step of a short job must not.
        warmup_steps=int(params.warmup * schedule.steps),
        bf16=bfloat16(params),
        gradient_checkpointing=params.gradient_checkpointing,
        fsdp=params.fsdp or None,
        use_cpu=not on_gpu,
        seed=params.seed,
        save_strategy="steps",
        save_steps=params.checkpoint_steps,
        save_total_limit=2,  # the last one may be incomplete
        ignore_data_skip=True,  # what is left to do is all that the data hold
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )


class _MicroBatches(Dataset[Batch]):
    """A worker's micro-batches in training order, as padded tensors."""

    def __init__(self, rollouts: Rollouts, pieces: list[MicroBatch], crossed: npt.NDArray[np.float64] | None) -> None:
        self._rollouts = rollouts
        self._pieces = pieces
        self._crossed = crossed

    def __len__(self) -> int:
        return len(self._pieces)

    def __getitem__(self, index: int) -> Batch:
        piece, data = self._pieces[index], self._rollouts
        members = piece.rollouts
        batch: Batch = {
            **data.batch(members),
            "examples": piece.examples,
            "weight": np.array(piece.weight),
        }
        if data.mismatched is not None and self._crossed is not None:
            batch["mismatched"] = {
                **data.mismatched.sequences.batch(members),
                "reference": self._crossed[members],
                "n_terms": data.mismatched.terms[members],
            }
        return default_convert(batch)  # type: ignore[no-any-return, no-untyped-call]


class JudgingTrainer(Trainer):  # type: ignore[misc]
    """The `transformers` Trainer on micro-batches that are judged by a :class:`ModelLoss`."""

    def __init__(self, loss: ModelLoss[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loss = loss
        self.sums = StepSums()

    def get_train_dataloader(self) -> DataLoader[Batch]:
        # Already this worker's part, already batched: nothing for accelerate to distribute.
        return DataLoader(self.train_dataset, batch_size=None, shuffle=False)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], num_batches: int, device: torch.device
    ) -> tuple[list[Batch], None]:
        batches = [self._prepare_inputs(batch) for batch in islice(epoch_iterator, num_batches)]
        self.loss.before_step(lambda batch: _call(self.model_wrapped, batch), batches)
        return batches, None

    def compute_loss(
        self, model: PreTrainedModel, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """The weighted sum of a micro-batch's losses, a scalar."""
        judgement = self.loss.judge(_call(model, inputs), inputs)
        if inputs["weight"] > 0:
            self.sums.add(judgement)
        weight: torch.Tensor = inputs["weight"]
        return judgement.losses.sum() * weight


def _call(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    outputs: torch.Tensor = model(input_ids=batch["input_ids"], rows=batch["rows"], columns=batch["columns"])
    return outputs
