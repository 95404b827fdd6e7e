"""The kinds of stages: what each is called in stored results, what computes it, where its shards lie."""

from __future__ import annotations

from enum import StrEnum


class Task(StrEnum):
    """What one actor does with one shard; ``harness.engine.tasks`` has the functions."""

    SAMPLE = "sample"
    COMPLETE = "complete"
    LABEL = "label"
    GRADE = "grade"
    TOKEN_PASS = "token-pass"
    VERIFY = "verify"
    SCORE = "score"


class Until(StrEnum):
    """What ``--until`` takes, in the order of a run: the run stops after the stages of this group."""

    SAMPLE = "sample"
    GRADE = "grade"
    TRAIN = "train"
    SCORE = "score"
    REPORT = "report"

    def includes(self, other: Until) -> bool:
        """Whether a run that stops here computes the stages of ``other``."""
        order = list(Until)
        return order.index(other) <= order.index(self)


class StageKind(StrEnum):
    """A kind of stage. Its value is its name in the ledger, in the quarantine list, in plans and in progress lines.

    Attributes:
        task: what computes a shard of it; None for a training, which has no shards.
        folder: where it is stored, below the results folder.
        until: the group it belongs to for ``--until``.
    """

    task: Task | None
    folder: str
    until: Until

    def __new__(cls, name: str, task: Task | None, folder: str, until: Until) -> StageKind:
        kind = str.__new__(cls, name)
        kind._value_ = name
        kind.task, kind.folder, kind.until = task, folder, until
        return kind

    SAMPLE = "sample", Task.SAMPLE, "responses", Until.SAMPLE
    GRADE = "grade", Task.GRADE, "grades", Until.GRADE
    SECOND_GRADE = "second-grade", Task.GRADE, "second-grades", Until.GRADE
    ROLLOUT = "rollout", Task.SAMPLE, "rollouts", Until.TRAIN
    ROLLOUT_GRADE = "rollout-grade", Task.GRADE, "rollout-grades", Until.TRAIN
    ROLLOUT_PASS = "rollout-pass", Task.TOKEN_PASS, "rollout-passes", Until.TRAIN
    COMPLETE = "complete", Task.COMPLETE, "completions", Until.TRAIN
    LABEL = "label", Task.LABEL, "step-labels", Until.TRAIN
    TRAIN = "train", None, "trained", Until.TRAIN
    TOKEN_PASS = "token-pass", Task.TOKEN_PASS, "token-passes", Until.SCORE
    VERIFY = "verify", Task.VERIFY, "verifications", Until.SCORE
    SCORE = "score", Task.SCORE, "scores", Until.SCORE
    POLICY = "policy", Task.SAMPLE, "policy-responses", Until.SCORE
    POLICY_GRADE = "policy-grade", Task.GRADE, "policy-grades", Until.SCORE


class DevelopmentItem(StrEnum):
    """What the development of a reward model costs, item by item (Yuan et al. 2025, section 5.3)."""

    COLLECTION = "collection"
    LABELS = "labels"
    REFERENCE = "reference"
    TRAINING = "training"

    @property
    def stage(self) -> str:
        """Its name in the ledger's column ``stage``."""
        return f"development/{self.value}"
