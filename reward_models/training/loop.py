"""What a training worker does: the `transformers` Trainer on micro-batches of rollouts."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, Dataset
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging as transformers_logging

from reward_models.training import objectives
from reward_models.training.batches import MicroBatch, accumulation_steps, epoch_batches, split
from reward_models.training.data import Rollouts
from reward_models.training.trainer import PROGRESS_FILE, ImplicitTrainerParams

_PROGRESS_EVERY_S = 0.5

Batch = dict[str, torch.Tensor]


def train_worker(config: dict[str, Any]) -> dict[str, Any]:
    """Train on this worker's part of every batch; the first worker writes the model and returns the facts."""
    params = ImplicitTrainerParams.model_validate(config["params"])
    rollouts: Rollouts = config["rollouts"]
    output = Path(config["output"])
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    torch.set_num_threads(params.cpus_per_worker)
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    set_seed(params.seed)

    base = AutoModelForCausalLM.from_pretrained(params.base, dtype="auto")
    stored_dtype = base.dtype
    model = base.float()
    rng = np.random.default_rng(params.seed)
    epochs = [
        epoch_batches(rollouts.examples, rollouts.units, rollouts.lengths, params.batch_size, rng)
        for _ in range(params.epochs)
    ]
    accumulation = accumulation_steps(epochs, rollouts.examples, rollouts.lengths, world, params.max_batch_tokens)
    pieces = [
        piece
        for batches in epochs
        for batch in batches
        for piece in split(batch, rollouts.examples, accumulation * world)
    ]
    steps = sum(map(len, epochs))
    trainer = _ImplicitTrainer(
        params,
        model=model,
        args=_arguments(params, output, steps, accumulation),
        train_dataset=_MicroBatches(rollouts, pieces[rank::world]),
    )
    trainer.remove_callback(PrinterCallback)
    if rank == 0:
        trainer.add_callback(_Progress(output / PROGRESS_FILE, trainer.history))
    trainer.train()

    trainer.save_model(str(output))
    if rank == 0:
        (output / "training_args.bin").unlink(missing_ok=True)
        if stored_dtype != torch.float32:
            AutoModelForCausalLM.from_pretrained(output, dtype=stored_dtype).save_pretrained(output)
        AutoTokenizer.from_pretrained(params.base).save_pretrained(output)
    lengths = np.concatenate([rollouts.lengths[piece.rollouts] for piece in pieces])
    return {
        "config": model.config.to_dict(),
        "device": str(trainer.args.device),
        "train_tokens": int(lengths.sum()),
        "train_positions": int((lengths * (lengths + 1) // 2).sum()),
        "n_examples": len(rollouts.examples),
        "n_pairs": len(rollouts.examples) if params.objective == "dpo" else 0,
        "n_responses": len(np.unique(rollouts.examples)),
        "steps": steps,
        **trainer.history.over(max(1, steps // 4)),
    }


def _arguments(params: ImplicitTrainerParams, output: Path, steps: int, accumulation: int) -> TrainingArguments:
    on_gpu = params.gpus_per_worker > 0
    return TrainingArguments(
        output_dir=str(output),
        max_steps=steps,
        gradient_accumulation_steps=accumulation,
        learning_rate=params.lr,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": params.min_lr},
        # Rounded down: the first step of a warm-up has a rate of 0, and the only step of a short job must not.
        warmup_steps=int(params.warmup * steps),
        bf16=params.precision == "bfloat16" or (params.precision == "auto" and on_gpu),
        gradient_checkpointing=params.gradient_checkpointing,
        fsdp=params.fsdp or None,
        use_cpu=not on_gpu,
        seed=params.seed,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )


class _MicroBatches(Dataset[Batch]):
    """A worker's micro-batches in training order, as padded tensors."""

    def __init__(self, rollouts: Rollouts, pieces: list[MicroBatch]) -> None:
        self.rollouts = rollouts
        self.pieces = pieces

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, index: int) -> Batch:
        piece, data = self.pieces[index], self.rollouts
        lengths = data.lengths[piece.rollouts]
        ids = np.zeros((len(lengths), lengths.max()), dtype=np.int64)
        for row, (rollout, length) in enumerate(zip(piece.rollouts, lengths, strict=True)):
            start = data.starts[rollout]
            ids[row, :length] = data.ids[start : start + length]
        return {
            "input_ids": torch.from_numpy(ids),
            "lengths": torch.from_numpy(lengths),
            "n_prompt": torch.from_numpy(data.n_prompt[piece.rollouts]),
            "reference": torch.from_numpy(data.reference[piece.rollouts]),
            "correct": torch.from_numpy(data.correct[piece.rollouts]),
            "examples": torch.from_numpy(piece.examples),
            "weight": torch.tensor(piece.weight),
        }


class _History:
    """Running sums of each step's micro-batches on this worker: loss, and z of right and wrong responses."""

    def __init__(self, accumulation: int) -> None:
        self._accumulation = accumulation
        self._micro_batches: list[dict[str, float]] = []

    def add(self, **sums: float) -> None:
        self._micro_batches.append(sums)

    def over(self, steps: int) -> dict[str, float]:
        """Loss per example, share of examples judged rightly, mean z of right less wrong, in the last ``steps``."""
        tail = self._micro_batches[-steps * self._accumulation :]
        total = {key: sum(sums[key] for sums in tail) for key in tail[0]}
        return {
            "loss": total["loss"] / total["n"],
            "reward_accuracy": total["judged_rightly"] / total["n"],
            "margin": total["z_right"] / max(total["n_right"], 1) - total["z_wrong"] / max(total["n_wrong"], 1),
        }


class _ImplicitTrainer(Trainer):  # type: ignore[misc]
    def __init__(self, params: ImplicitTrainerParams, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.params = params
        self.history = _History(self.args.gradient_accumulation_steps)

    def get_train_dataloader(self) -> DataLoader[Batch]:
        # Already this worker's part, already batched: nothing for accelerate to distribute.
        return DataLoader(self.train_dataset, batch_size=None, shuffle=False)

    def compute_loss(
        self, model: PreTrainedModel, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        z = self.params.beta * (_response_logprob(model, inputs) - inputs["reference"].float())
        if self.params.objective == "dpo":
            z_right, z_wrong = z[inputs["examples"]].unbind(dim=-1)
            losses = objectives.dpo(z_right, z_wrong)
            judged_rightly = z_right > z_wrong
        else:
            z_all = z[inputs["examples"][:, 0]]
            correct = inputs["correct"][inputs["examples"][:, 0]]
            losses = objectives.ce(z_all, correct)
            judged_rightly = (z_all > 0) == correct
            z_right, z_wrong = z_all[correct], z_all[~correct]
        self.history.add(
            loss=losses.sum().item(),
            n=len(losses),
            judged_rightly=judged_rightly.sum().item(),
            z_right=z_right.sum().item(),
            n_right=len(z_right),
            z_wrong=z_wrong.sum().item(),
            n_wrong=len(z_wrong),
        )
        return losses.sum() * inputs["weight"]


def _response_logprob(model: PreTrainedModel, batch: Batch) -> torch.Tensor:
    """Sum of log p over the response tokens of each row, float32 [rows].

    Rows are padded on the right, where a causal model does not see it. Logits are made from the shortest prompt's
    end on only.
    """
    ids, lengths, n_prompt = batch["input_ids"], batch["lengths"], batch["n_prompt"]
    first = int(n_prompt.min()) - 1
    read = torch.arange(first, ids.shape[1] - 1, device=ids.device)
    logits = model(input_ids=ids, logits_to_keep=read, use_cache=False).logits.float()
    targets = ids[:, first + 1 :]
    logprobs = logits.gather(-1, targets[..., None])[..., 0] - logits.logsumexp(dim=-1)
    position = read + 1
    is_response = (position >= n_prompt[:, None]) & (position < lengths[:, None])
    return torch.where(is_response, logprobs, 0.0).sum(dim=-1)


class _Progress(TrainerCallback):  # type: ignore[misc]
    """Writes how far the training is to a file, which the driver polls."""

    def __init__(self, path: Path, history: _History) -> None:
        self.path = path
        self.history = history
        self.written = 0.0

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        now = time.monotonic()
        if now - self.written < _PROGRESS_EVERY_S and state.global_step < state.max_steps:
            return
        self.written = now
        recent = self.history.over(10)
        note = f"loss {recent['loss']:.3f}, accuracy {recent['reward_accuracy']:.2f}"
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps({"done": state.global_step, "total": state.max_steps, "note": note}))
        partial.rename(self.path)
