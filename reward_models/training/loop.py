"""What a training worker does: the `transformers` Trainer on micro-batches of rollouts."""

from __future__ import annotations

import json
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import MethodType
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.fsdp import MixedPrecisionPolicy
from torch.utils.data import DataLoader
from transformers import (
    AutoTokenizer,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging as transformers_logging

from bonbench.reward_models.training.checkpoints import Checkpoints, last_checkpoint, steps_done
from bonbench.reward_models.training.dealing import Dealer
from bonbench.reward_models.training.history import Curves, StepSums, steps_of, summary, tensorboard
from bonbench.reward_models.training.job import CHECKPOINTS, Job
from bonbench.reward_models.training.model_losses import MODEL_LOSSES, Batch, ModelLoss
from bonbench.reward_models.training.params import TrainingParams
from bonbench.reward_models.training.reference import bfloat16, mismatched_reference
from bonbench.reward_models.training.schedule import Schedule, Steps
from bonbench.reward_models.training.step import Passes, go
from harness.core.components import TrainingFacts
from harness.core.hub_models import pretrained
from harness.core.workers import Progress


def train_worker(job: Job, progress: Progress) -> TrainingFacts:
    """Train on this worker's part of every batch; the first worker writes the model and returns the facts."""
    params, rollouts, output = job.params, job.rollouts, job.output
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    torch.set_num_threads(params.cpus_per_worker)
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    set_seed(params.seed)

    schedule = Schedule.of(rollouts, params)
    sharded = params.fsdp and world > 1
    args = _arguments(params, output, len(schedule.batches), sharded)
    loss = MODEL_LOSSES[job.loss](params)
    crossed = mismatched_reference(job, loss, args.device)
    tokenizer = AutoTokenizer.from_pretrained(**pretrained(params.base))
    base = loss.load(job.model)
    stored_dtype = base.dtype
    model = base.float()
    model.forward = MethodType(loss.forward, model)

    resumed = last_checkpoint(output / CHECKPOINTS)
    left = schedule.batches[steps_done(resumed) :]
    dealer = Dealer(world, params.max_batch_tokens, loss.paired, sharded)
    steps = Steps(rollouts, left, crossed, dealer, rank)
    trainer = JudgingTrainer(loss, model=model, args=args, train_dataset=steps)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Curves(trainer.sums, trainer.log, progress))
    trainer.add_callback(Checkpoints(params.checkpoint_minutes, trainer.sums))  # after those have taken the sums
    if params.tensorboard:
        trainer.add_callback(tensorboard(output))
    trainer.train(resume_from_checkpoint=None if resumed is None else str(resumed))

    loss.finish(model, tokenizer)
    if trainer.is_fsdp_enabled:
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
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
        extra={"steps": len(schedule.batches), **summary(history)},
    )


def _arguments(params: TrainingParams, output: Path, steps: int, sharded: bool) -> TrainingArguments:
    on_gpu = params.gpus_per_worker > 0
    args = TrainingArguments(
        output_dir=str(output / CHECKPOINTS),
        max_steps=steps,
        learning_rate=params.lr,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": params.min_lr},
        # Rounded down: the first step of a warm-up has a rate of 0, and the only step of a short job must not.
        warmup_steps=int(params.warmup * steps),
        bf16=bfloat16(params),
        gradient_checkpointing=params.gradient_checkpointing,
        fsdp=sharded or None,
        fsdp_config={"state_dict_type": "SHARDED_STATE_DICT"} if sharded else None,  # of checkpoints
        use_cpu=not on_gpu,
        seed=params.seed,
        save_strategy="no",  # Checkpoints says when
        ignore_data_skip=True,  # what is left to do is all that the data hold
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    if sharded and args.bf16:
        # Left to itself accelerate averages gradients in bfloat16, and rounds what the model returns to it: the
        # log-probability of a response to 8 bits. As for output_dtype: float32 there meets a head in bfloat16.
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        args.fsdp_plugin_args["mixed_precision_policy"] = policy
    return args


class JudgingTrainer(Trainer):  # type: ignore[misc]
    """The `transformers` Trainer on steps whose micro-batches are judged by a :class:`ModelLoss`."""

    def __init__(self, loss: ModelLoss[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loss = loss
        self.sums = StepSums()

    def get_train_dataloader(self) -> DataLoader[Batch]:
        # Already this worker's part, already batched: nothing for accelerate to distribute.
        return DataLoader(self.train_dataset, batch_size=None, shuffle=False)

    def training_step(
        self, model: torch.nn.Module, inputs: Batch, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """All forwards and backwards of an optimizer step; the losses go to ``sums``, and 0 to `transformers`."""
        model.train()
        passes = Passes(
            call=partial(_call, model),
            backward=self.accelerator.backward,
            # Sharded gradients are averaged at once: added up before, they would take the place of the whole model.
            alone=nullcontext if self.is_fsdp_enabled else partial(self.accelerator.no_sync, model),
            workers=self.args.world_size,
            rank=self.args.process_index,
        )
        go(self.loss, self._prepare_inputs(inputs), passes, self.sums.add)
        return torch.zeros((), device=self.args.device)


def _call(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    outputs: torch.Tensor = model(input_ids=batch["input_ids"], rows=batch["rows"], columns=batch["columns"])
    return outputs
