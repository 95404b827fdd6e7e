"""The parameters of generative reward models and of their training, and what follows from them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from bonbench.reward_models.generative.presets import PRESETS, TEMPLATES
from bonbench.reward_models.generative.readouts import READERS, Reader, grade, verdict_place, yes_or_no
from bonbench.reward_models.known_models import KNOWN_MODELS
from bonbench.reward_models.vllm.params import BackendParams
from harness.core.errors import UserError
from harness.core.hub_models import hub_id
from harness.core.params import (
    ComponentParams,
    DataPath,
    Device,
    ModelPath,
    OwnAggregation,
    Precision,
    Runtime,
    StepsParams,
)
from harness.core.verifications import Per, check_template
from harness.core.weighing import Weighing

Preset = Literal["judge", "grader", "pairwise", "listwise", "genrm", "genrm-cot", "thinkprm", "genprm"]
Readout = Literal["yes-no", "p-yes", "grade", "labels", "choice", "ranking", "first-token"]

#: What the questions are about where the read-out decides it.
_PER: dict[str, Per] = {"labels": "response", "choice": "pair", "ranking": "group", "first-token": "response"}


class QuestionParams(ComponentParams):
    """What a judge is asked.

    An entry says a ``preset``, a ``question`` of its own, or both: what it leaves out is the preset's.
    """

    preset: Preset | None = Field(
        None, description="whose convention to follow; null: judge where replies are sampled, genrm where none are"
    )
    question: DataPath | None = Field(
        None,
        description="a file with the question as a Jinja template: {{ problem }}, {{ response }}, {{ steps }}, "
        "{{ step }}, {{ responses }}; null: the preset's",
    )
    system: str | None = Field(
        None,
        description="what the judge is told before the question, in the place of its generator's system_prompt; null: "
        "the preset's, if any",
    )
    answer_yes: str = Field("Yes", min_length=1, description="the answer for a correct response")
    answer_no: str = Field("No", min_length=1, description="the answer for a wrong response")

    def text(self) -> str:
        """The text of the template.

        Raises:
            UserError: for a file that cannot be read.
        """
        if self.question is None:
            return TEMPLATES[self.preset or "genrm"]
        try:
            return Path(self.question).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"question: {self.question}: cannot be read: {error}") from None

    @property
    def label(self) -> str:
        """A short name for what is asked, which may be part of a file's name."""
        stem = Path(self.question).stem if self.question is not None else self.preset or "genrm"
        return "".join(c if c.isalnum() or c in "._-" else "-" for c in stem)

    @property
    def place(self) -> str:
        """The template, for error lines."""
        return f"question {self.question}" if self.question is not None else f"preset {self.label}"


class GenerativeParams(QuestionParams, BackendParams, StepsParams):
    """Parameters of :class:`~reward_models.generative.model.GenerativeRewardModel`. ``backend`` and what belongs to it,
    ``dtype``, ``device``, ``too_long`` and ``max_batch_tokens`` are those of ``model``."""

    # The replies' keys say by whom they are.
    generator: Runtime[str | dict[str, Any] | None] = Field(
        None,
        description="who writes the replies: a generator or trained reward model of the experiment by its name, a "
        "model for transformers, or a generator's entry {type: ..., ...}",
    )
    model: ModelPath | None = Field(
        None, description="for first-token: the model whose next token is read, without sampling"
    )
    readout: Readout | None = Field(
        None,
        description="how the verdict is read: yes-no, p-yes (how probable yes is where the reply gives its verdict), "
        "grade, labels (of all steps, in one reply), choice (of two responses), ranking (of all responses to a "
        "problem), first-token (its probability); null: the preset's",
    )
    per: Literal["response", "step"] | None = Field(
        None, description="yes-no and grade: whether each response is asked about, or each step; null: the preset's"
    )
    verifications: int = Field(
        1, ge=1, description="replies to each question; the score is the mean of the verdicts that can be read"
    )
    temperature: float | None = Field(None, ge=0, description="null: the preset's, else 0 for one reply, 1 for several")
    top_p: float = Field(1.0, gt=0, le=1, description="share of the probability that a token is sampled from")
    max_tokens: int = Field(2048, ge=1, description="tokens of a reply; one that is cut off has no verdict")
    system_prompt: str | None = Field(
        None, description="takes the place of the generator's; null: the preset's, if any"
    )
    begins: str = Field("", description="how every reply begins; its generator goes on from there")
    worst: float = Field(0.0, description="grade: the lowest grade")
    best: float = Field(10.0, description="grade: the highest grade")
    aggregation: OwnAggregation = None
    dtype: Precision = "auto"
    device: Device = "auto"
    too_long: Literal["skip", "error"] = Field(
        "skip",
        description="a question that is longer than the model reads: skip leaves its response without a score, error "
        "stops the entry (of replies the generator's own too_long decides)",
    )
    max_batch_tokens: Runtime[int | None] = Field(
        None,
        ge=1,
        description="tokens that go through the model at once, padding included; null: what suits the device",
    )

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, entry: Any) -> Any:
        if not isinstance(entry, dict):
            return entry
        preset = entry.get("preset") or ("genrm" if entry.get("model") is not None else "judge")
        given = {name: value for name, value in entry.items() if value is not None or name == "temperature"}
        known = dict(PRESETS.get(preset, {})) if isinstance(preset, str) else {}
        if entry.get("readout") in _PER:  # it decides what is asked about
            known.pop("per", None)
        return {**known, **given, "preset": preset}

    @property
    def about(self) -> Per:
        """What the questions are about."""
        return _PER.get(str(self.readout)) or self.per or "response"

    def check(self) -> None:
        """Raise :class:`UserError` for parameters that contradict each other, and a template that cannot be used."""
        if (self.generator is None) == (self.model is None):
            raise UserError(
                "generator or model: one of them is needed: generator writes replies, model is read at its first token"
            )
        if self.readout == "first-token" and self.model is None:
            raise UserError(
                "readout: first-token reads the model itself: say model instead of generator (its name will do)"
            )
        if self.readout != "first-token" and self.generator is None:
            raise UserError(f"readout: {self.readout} reads a reply: say generator instead of model (its name will do)")
        if self.model is not None and (known := KNOWN_MODELS.get(hub_id(self.model))):
            raise UserError(f"{self.model} is no judge: set type: {known.family}")
        if self.per == "step" and self.about != "step":
            raise UserError(f"per: {self.readout} is not about single steps: leave it out")
        if self.model is not None and self.verifications > 1:
            raise UserError("verifications: first-token is a probability, not a sample: leave it out")
        if self.verifications > 1 and self.temperature == 0 and self.about != "group":
            raise UserError(f"temperature: 0 gives the same reply {self.verifications} times: raise it")
        if self.worst == self.best:
            raise UserError(f"best: {self.best:g} is the worst grade too")
        if self.splitter() is not None and self.about in ("pair", "group"):
            raise UserError("steps: it compares responses, and is not asked about their steps: leave it out")
        if self.answer_yes == self.answer_no:
            raise UserError(f"answer_no: {self.answer_no!r} is the answer yes too")
        check_template(self.text(), self.about, self.place)

    @property
    def weighing(self) -> Weighing | None:
        """What is weighed in the replies."""
        if self.readout != "p-yes":
            return None
        yes, no = self.answer_yes, self.answer_no
        return Weighing(yes, no, place=partial(verdict_place, yes=yes, no=no))

    def reader(self) -> Reader:
        """How the verdict is read from the text of a reply."""
        if self.readout in ("yes-no", "p-yes"):
            return partial(yes_or_no, yes=self.answer_yes, no=self.answer_no)
        if self.readout == "grade":
            return partial(grade, worst=self.worst, best=self.best)
        return READERS[str(self.readout)]

    @property
    def at_temperature(self) -> float:
        """The temperature of the replies."""
        return float(self.verifications > 1) if self.temperature is None else self.temperature
