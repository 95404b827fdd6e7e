"""What a training worker does: the `transformers` Trainer on micro-batches of rollouts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from types import MethodType
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.fsdp import MixedPrecisionPolicy
from torch.distributed.tensor import DTensor
from torch.utils.data import DataLoader
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging as transformers_logging

from bonbench.generators.loading import avoid_cudnn_attention, check_tokens
from bonbench.generators.tokenizers import tokenizer_of
from bonbench.reward_models.training.checkpoints import Checkpoints, last_checkpoint, steps_done
from bonbench.reward_models.training.dealing import Dealer
from bonbench.reward_models.training.history import Curves, StepSums, diverged, history, summary
from bonbench.reward_models.training.integrations import write_here
from bonbench.reward_models.training.job import CHECKPOINTS, Job
from bonbench.reward_models.training.lora import adapter_params, merged, with_adapters
from bonbench.reward_models.training.model_losses import MODEL_LOSSES, Batch, Judgement, ModelLoss
from bonbench.reward_models.training.precision import Rounding, as_in_base, bfloat16, swallowed, weights_dtype
from bonbench.reward_models.training.reference import mismatched_reference
from bonbench.reward_models.training.rehearsal import rehearse_saving
from bonbench.reward_models.training.schedule import Schedule, Steps, costs
from bonbench.reward_models.training.step import Passes, go, summed
from bonbench.reward_models.training.validation import Validation, look, looks
from harness.core.trainer import TrainingFacts
from harness.core.workers import Progress

#: What the adapters are saved to before they are added to the base, in the output folder.
_ADAPTERS = "adapters"


def train_worker(job: Job, progress: Progress) -> TrainingFacts:
    """Train on this worker's part of every batch; the first worker writes the model and returns the facts."""
    params, rollouts, output = job.params, job.rollouts, job.output
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    torch.set_num_threads(params.cpus_per_worker)
    avoid_cudnn_attention()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    set_seed(params.seed)

    schedule, held_out = Schedule.of(rollouts, params, params.epochs), rollouts.held_out
    learnt, looked_at = schedule.members(rollouts), [np.arange(0)]
    sharded = params.fsdp and world > 1
    args = _arguments(job, len(schedule.batches), sharded)
    loss = MODEL_LOSSES[job.loss](params)
    crossed = mismatched_reference(job, loss, args.device)
    tokenizer = tokenizer_of(params.base)
    base = loss.load(job.model)
    check_tokens(base, int(rollouts.sequences.ids.max(initial=0)), job.model)
    stored_dtype = base.dtype
    if rank == 0:
        rehearse_saving(base, tokenizer, output, stored_dtype if params.lora is not None else torch.float32)
    model = base.to(weights_dtype(params))
    model.forward = MethodType(loss.forward, model)
    learning = model if params.lora is None else with_adapters(model, params.lora, loss.head)
    adapters = None if params.lora is None else adapter_params(learning)

    resumed = last_checkpoint(output / CHECKPOINTS)
    left = schedule.batches[steps_done(resumed) :]
    dealer = Dealer(world, params.max_batch_tokens, loss.paired, sharded)
    steps = Steps(rollouts, left, crossed, dealer, rank)
    trainer = JudgingTrainer(loss, model=learning, args=args, train_dataset=steps)
    trainer.remove_callback(PrinterCallback)
    lengths = rollouts.sequences.lengths
    trainer.add_callback(Curves(trainer.sums, trainer.log, progress, [int(lengths[of].sum()) for of in learnt]))
    trainer.add_callback(Checkpoints(params.checkpoint_minutes, trainer.sums))  # after those have taken the sums
    if stored_dtype != torch.float32 and params.lora is None:
        trainer.add_callback(Rounding(stored_dtype))
    if held_out is not None:
        once = Schedule.of(held_out, params, epochs=1)
        looked_at = once.members(held_out) * len(looks(len(schedule.batches)))
        apart = Steps(held_out, once.batches, crossed, dealer, rank)
        trainer.add_callback(Validation(apart, trainer.look, trainer.log))
    write_here(trainer, output)
    trainer.train(resume_from_checkpoint=None if resumed is None else str(resumed))

    _check_weights(learning, stored_dtype, args)
    rows = history(trainer.state)
    about_weights = _save(trainer, job, model, tokenizer, stored_dtype)
    if rank == 0:
        (output / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return TrainingFacts(
        config=model.config.to_dict(),
        device=str(args.device),
        output_head=model.get_output_embeddings() is not None,
        **costs(rollouts, np.concatenate(learnt), np.concatenate(looked_at), loss.with_reference),
        adapter_params=adapters,
        extra={"steps": len(schedule.batches), **summary(rows), **about_weights},
    )


def _check_weights(model: torch.nn.Module, dtype: torch.dtype, args: TrainingArguments) -> None:
    """Refuse weights that are not finite in the ``dtype`` that they are saved in: no later step has seen the last one.

    Raises:
        UserError: at every worker.
    """
    bad = torch.zeros((), device=args.device)
    for weights in model.parameters():
        own = weights.to_local() if isinstance(weights, DTensor) else weights
        bad += (~own.detach().to(dtype).isfinite()).any()
    if summed(bad) > 0:
        raise diverged(f"the trained weights are not all finite in {str(dtype).removeprefix('torch.')}", args)


def _save(
    trainer: JudgingTrainer,
    job: Job,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    dtype: torch.dtype,
) -> dict[str, Any]:
    """Write the trained model in the base's ``dtype``, adapters added to the base, and the tokenizer.

    Returns:
        Facts about what 16 bits did to the weights, in the first worker: the share that are ``as_in_base``, and a
        ``note`` where they are most.
    """
    loss, output = trainer.loss, job.output
    loss.finish(model, tokenizer)
    if trainer.is_fsdp_enabled:
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    adapters = None if job.params.lora is None else output / _ADAPTERS
    trainer.save_model(str(adapters or output))
    if trainer.args.process_index:
        return {}
    about: dict[str, Any] = {}
    if adapters is not None:
        plain = merged(loss.load(job.model), adapters)
        loss.finish(plain, tokenizer)
    elif dtype != torch.float32:
        plain = loss.load(str(output), dtype)
    if adapters is not None or dtype != torch.float32:
        plain.save_pretrained(output)
    if adapters is not None:
        shutil.rmtree(adapters)
    if dtype != torch.float32:
        share = as_in_base(plain, loss.load(job.model), loss.head)
        about = {"as_in_base": share} | ({"note": note} if (note := swallowed(share, dtype)) else {})
    (output / "training_args.bin").unlink(missing_ok=True)
    tokenizer.save_pretrained(output)
    return about


def _arguments(job: Job, steps: int, sharded: bool) -> TrainingArguments:
    params = job.params
    on_gpu = params.gpus_per_worker > 0
    args = TrainingArguments(
        output_dir=str(job.output / CHECKPOINTS),
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
        ddp_find_unused_parameters=None if params.lora is None else False,  # what learns is always used
        use_cpu=not on_gpu,
        seed=params.seed,
        save_strategy="no",  # Checkpoints says when
        ignore_data_skip=True,  # what is left to do is all that the data hold
        logging_strategy="no",
        report_to=list(params.report_to) or "none",
        run_name=job.name or None,
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
        # Already this worker's part, already batched: nothing for accelerate to distribute. A loader draws a number as
        # it begins: from a generator of its own, or a resumed training would drop out other things.
        return DataLoader(self.train_dataset, batch_size=None, shuffle=False, generator=torch.Generator())

    def training_step(
        self, model: torch.nn.Module, inputs: Batch, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """All forwards and backwards of an optimizer step. Losses go to ``sums``; `transformers` gets a scalar 0."""
        model.train()
        go(self.loss, self._prepare_inputs(inputs), self._passes(model), self.sums.add)
        return torch.zeros((), device=self.args.device)

    def look(self, step: Batch, judged: Callable[[Judgement], None]) -> None:
        """Tell of the losses of a batch, over all workers of each one once; nothing is learnt."""
        model = self.model_wrapped.eval()
        look(self.loss, self._prepare_inputs(step), self._passes(model), judged)

    def _passes(self, model: torch.nn.Module) -> Passes:
        return Passes(
            call=partial(_call, model),
            backward=self.accelerator.backward,
            # Sharded gradients are averaged at once: added up before, they would take the place of the whole model.
            alone=nullcontext if self.is_fsdp_enabled else partial(self.accelerator.no_sync, model),
            workers=self.args.world_size,
            rank=self.args.process_index,
        )

    def _get_grad_norm(
        self, model: torch.nn.Module, grad_norm: torch.Tensor | float | None = None
    ) -> torch.Tensor | float:
        norm: torch.Tensor | float = super()._get_grad_norm(model, grad_norm)
        self.sums.gradient_norm = norm
        return norm


def _call(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    outputs: torch.Tensor = model(input_ids=batch["input_ids"], rows=batch["rows"], columns=batch["columns"])
    return outputs
