"""Reward models that read their rewards off a language model's hidden states at chosen tokens."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

from pydantic import Field

from bonbench.reward_models.known_models import PUBLISHED
from bonbench.reward_models.text.layouts import Format
from harness.core.components import ComponentParams, ModelFacts, ModelPath, RewardModel, Runtime
from harness.core.errors import UserError, one_line
from harness.core.records import Solution, StepScores
from harness.core.steps import step_ends

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from bonbench.reward_models.text.pieces import Marked


class ReadingParams(ComponentParams):
    """Parameters of a reward model that is one language model.

    ``convention`` is how solutions are laid out and where rewards are read; it is known of published models
    (``reward_models.published``), and otherwise the family's first one unless said. ``dtype: auto`` is the one that the
    model is stored in on a GPU, float32 on a CPU. ``max_batch_tokens`` counts the tokens, padding included, that go
    through the model at once (by default what suits the device); it changes nothing but speed and memory.
    """

    model: ModelPath
    convention: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "auto"
    max_batch_tokens: Runtime[int | None] = Field(None, ge=1)


P = TypeVar("P", bound=ReadingParams)


class ReadingRewardModel(RewardModel[P]):
    """Lays a solution out as the model is used to it, and reads a reward at each token the layout marks.

    Equal responses to a problem are scored once. ``n_tokens`` of the scores counts the tokens fed after the prompt.

    Raises:
        UserError: when the model cannot be loaded, its tokenizer does not have the convention's tokens, or a solution
            is longer than the model's positions reach (what is cut off could be the answer).
    """

    #: The name it is registered by.
    family: ClassVar[str]
    #: Its conventions; the first one is that of models which are not published ones.
    formats: ClassVar[Mapping[str, Format]]
    #: Tokens of the formats that are special whether or not the tokenizer says so.
    markers: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: P, name: str = "") -> None:
        super().__init__(params, name)
        from transformers import AutoTokenizer

        from bonbench.reward_models.text.chat import ChatTemplate
        from bonbench.reward_models.text.pieces import PieceEncoder

        published = PUBLISHED.get(params.model)
        default = published.convention if published else next(iter(self.formats))
        self.convention = params.convention or default
        self.lm = self._load()
        try:
            tokenizer = AutoTokenizer.from_pretrained(params.model)
        except Exception as error:  # a wrong value in one of its files raises whatever the tokenizer's code meets first
            raise UserError(f"the tokenizer of {params.model} cannot be loaded: {one_line(error)}") from error
        self.chat = ChatTemplate(tokenizer, params.model)
        self.encoder = PieceEncoder(tokenizer, params.model, self.markers)
        if published:
            self._check_ids(published.ids)

    @classmethod
    def check(cls, params: P) -> None:
        published = PUBLISHED.get(params.model)
        if published and published.family != cls.family:
            raise UserError(f"{params.model} is no {cls.family}: its type is {published.family}")

    @abstractmethod
    def _load(self) -> PreTrainedModel:
        """The model, for inference."""

    @abstractmethod
    def _rewards(self, hidden: torch.Tensor) -> torch.Tensor:
        """From hidden states [tokens read, width] of one solution to its rewards [steps], or [1] of an ORM."""

    def describe(self) -> ModelFacts:
        has_head = self.lm.get_output_embeddings() is not None
        return ModelFacts(self.lm.config.to_dict(), str(self.lm.device), output_head=has_head)

    def score(self, batch: Sequence[Solution]) -> list[StepScores]:
        import torch

        from bonbench.reward_models.lm.causal_lm import read

        # Of equal ones the first, which an error line then names.
        solutions = {(s.problem.problem, s.response.text): s for s in reversed(batch)}
        readings = dict(zip(solutions, self.encode(list(solutions.values())), strict=True))
        states = read(self.lm, list(readings.values()), lambda hidden, _: hidden, self.params.max_batch_tokens)
        with torch.inference_mode():
            rewards = [self._rewards(hidden).tolist() for hidden in states]
        found = dict(zip(readings, rewards, strict=True))
        scored = []
        for solution in batch:
            key, response = (solution.problem.problem, solution.response.text), solution.response
            scored.append(
                StepScores(
                    problem_id=response.problem_id,
                    generator=response.generator,
                    sample=response.sample,
                    reward_model=self.name,
                    step_rewards=tuple(found[key]),
                    step_ends=step_ends(response.text) if self.reward == "PRM" else (len(response.text),),
                    n_tokens=len(readings[key].ids) - readings[key].n_prompt,
                )
            )
        return scored

    def encode(self, solutions: Sequence[Solution]) -> list[Marked]:
        """Tokens of each solution, and where its rewards are read."""
        lay_out = self.formats[self.convention]
        encoded = self.encoder.encode_layouts(
            [lay_out(self.chat, s.problem.problem, s.response.text) for s in solutions]
        )
        limit = getattr(self.lm.config.get_text_config(), "max_position_embeddings", None)
        for solution, tokens in zip(solutions, encoded, strict=True):
            if limit is not None and len(tokens.ids) > limit:
                response = solution.response
                raise UserError(
                    f"{self.params.model} reads {limit} tokens, sample {response.sample} of {response.generator} for "
                    f"problem {response.problem_id!r} has {len(tokens.ids)} with its prompt: lower sampling.max_tokens"
                )
        return encoded

    def _check_ids(self, ids: Mapping[str, int]) -> None:
        """Tags and answers must be the tokens that the model knows, alone and where they stand in a layout."""
        layout = self.formats[self.convention](self.chat, "1 + 1 = ?", "Step 1: 2")
        tokens = self.encoder.encode([layout.pieces])[0]
        found = {text: {self.encoder.only_token(text)} for text in ids}
        for k, piece in enumerate(layout.pieces):
            if piece.trusted and (text := piece.text.strip()) in ids:
                found[text].add(tokens.ids[tokens.last(k)])
        for text, id_ in ids.items():
            if found[text] != {id_}:
                others = ", ".join(map(str, sorted(found[text])))
                raise UserError(f"{self.params.model}: its tokenizer makes {others} of {text!r}, which should be {id_}")
