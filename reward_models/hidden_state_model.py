"""Reward models that read their rewards at chosen tokens, off a language model's hidden states there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar, TypeVar

from pydantic import Field

from bonbench.generators.tokenizers import tokenizer_of
from bonbench.reward_models.known_models import KNOWN_MODELS, NOT_RUN_HERE
from bonbench.reward_models.model_cards import cards_of
from bonbench.reward_models.reader import PartlyRead
from bonbench.reward_models.text.layouts import Format, Layout, laid_out
from bonbench.reward_models.text.limits import refusal
from bonbench.reward_models.vllm.params import BackendParams
from harness.core.cards import Card
from harness.core.chat_template import Refused
from harness.core.components import ModelFacts, RewardModel
from harness.core.errors import UserError
from harness.core.hub_models import hub_id
from harness.core.incomplete import Incomplete
from harness.core.params import Device, ModelPath, Precision, ReadsParams, Runtime, TooLong
from harness.core.prompt import Asked, asks
from harness.core.records import Problem, Response, Solution, StepScores

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from bonbench.reward_models.lm.reader import HiddenStateReader
    from bonbench.reward_models.reader import Reader
    from bonbench.reward_models.text.chat import ChatTemplate
    from bonbench.reward_models.text.pieces import Marked, PieceEncoder
    from bonbench.reward_models.vllm.readers import Served


#: What the parameter ``convention`` is.
CONVENTION = (
    "how solutions are laid out and where rewards are read; null: as is known of a public model, else the first one"
)


@dataclass(frozen=True, slots=True)
class Convention:
    """How a model reads solutions, and what it is loaded as.

    ``model_class`` is ``module:class``. It is imported when a model is loaded, for torch is slow to import.
    ``served_as`` is what vLLM runs it as: ``CLASSIFIER``, ``CAUSAL_LM`` or an architecture of vLLM's; None: nothing.
    ``is_asked`` says whether the sampler's prompt stands before the response, and no prompt of the convention's own.
    """

    layout: Format
    model_class: str
    served_as: str | None = None
    is_asked: bool = False


class HiddenStateParams(BackendParams, Asked, ReadsParams):
    """Parameters of a reward model that is one language model."""

    model: ModelPath = Field(description="a folder in `transformers` format or a hub id")
    convention: str | None = Field(None, description=CONVENTION)
    dtype: Precision = "auto"
    device: Device = "auto"
    too_long: TooLong = "skip"
    max_batch_tokens: Runtime[int | None] = Field(
        None,
        ge=1,
        description="tokens that go through the model at once, padding included; null: what suits the device",
    )


P = TypeVar("P", bound=HiddenStateParams)


class HiddenStateRewardModel(RewardModel[P]):
    """Lays a solution out as the model is used to it, and reads a reward at each token the layout marks.

    Equal responses to a problem are scored once. ``n_tokens`` of the scores counts the tokens fed after the prompt.

    A solution may be longer than the model's positions reach; ``too_long`` says what becomes of it. By default it is
    left unscored, for what is cut off could be the answer.

    Args:
        reader: what runs the model; None: as the parameters say.

    Raises:
        UserError: when the model cannot be loaded, or its tokenizer does not have the convention's tokens.
    """

    #: The name it is registered by.
    family: ClassVar[str]
    #: Its conventions by name; the first one is that of models of which nothing is known.
    conventions: ClassVar[Mapping[str, Convention]]
    shares_process = True
    #: Tokens of the layouts that are special whether or not the tokenizer says so.
    markers: ClassVar[tuple[str, ...]] = ()

    _REFUSED: ClassVar[str] = ", or refused by its chat template"

    def __init__(self, params: P, name: str = "", reader: Reader | None = None) -> None:
        super().__init__(params, name)
        self.convention = self._convention(params)
        self.chat, self.encoder = self._tokenizer(params)
        self.reader = reader or (self._served() if params.backend == "vllm" else self._loaded())
        self.unscored_because = f"longer than the {self.reader.limit} tokens that the model reads"
        if known_model := KNOWN_MODELS.get(hub_id(params.model)):
            self._check_ids(known_model.ids)

    @classmethod
    def check(cls, params: P) -> None:
        """Raise :class:`UserError` for a public model of another family, or one that vLLM does not have."""
        if why := NOT_RUN_HERE.get(hub_id(params.model)):
            raise UserError(f"{params.model}: {why}; a server of yours may: type: remote (docs/reward-servers.md)")
        known_model = KNOWN_MODELS.get(hub_id(params.model))
        if known_model and known_model.family != cls.family:
            raise UserError(f"{params.model} is no {cls.family}: set type: {known_model.family}")
        convention = cls._convention(params)
        strange = asks(params).keys() - {"user_template", "date"}
        if strange and not cls.conventions[convention].is_asked:
            raise UserError(f"{min(strange)}: {convention} models have a prompt of their own: leave it out")
        if params.backend == "vllm" and cls.conventions[convention].served_as is None:
            raise UserError(f"backend: vLLM has no head for {convention} models: let it be transformers")

    @classmethod
    def cards(cls) -> Mapping[str, Card]:
        return cards_of(cls.family)

    @classmethod
    def may_share_process(cls, params: P) -> bool:
        return params.backend != "vllm"

    @classmethod
    def count_too_long(cls, params: P, batches: Iterable[Sequence[Solution]]) -> int | None:
        from bonbench.reward_models.text.positions import positions

        limit = params.context(positions(params.model))
        if limit is None:
            return 0
        chat, encoder = cls._tokenizer(params)
        count = 0
        for batch in batches:
            parts = [part for solution in batch if (part := params.part_of(solution).solution) is not None]
            layouts = [cls._laid_out(params, chat, part) for part in parts]
            # A token stands for one byte at least: most responses need not be tokenised.
            suspects = [
                layout
                for layout in layouts
                if not isinstance(layout, Refused) and layout.n_bytes + len(encoder.prefix) > limit
            ]
            count += sum(len(tokens.ids) > limit for tokens in encoder.encode_layouts(suspects))
        return count

    @classmethod
    def _convention(cls, params: P) -> str:
        known_model = KNOWN_MODELS.get(hub_id(params.model))
        default = known_model.convention if known_model else next(iter(cls.conventions))
        return params.convention or default

    @classmethod
    def _laid_out(cls, params: P, chat: ChatTemplate, solution: Solution) -> Layout | Refused:
        return laid_out(cls._format(params), chat, solution)

    @classmethod
    def _format(cls, params: P) -> Format:
        return cls.conventions[cls._convention(params)].layout

    @classmethod
    def _tokenizer(cls, params: P) -> tuple[ChatTemplate, PieceEncoder]:
        from bonbench.reward_models.text.chat import ChatTemplate
        from bonbench.reward_models.text.pieces import PieceEncoder

        tokenizer = tokenizer_of(params.model)
        encoder = PieceEncoder(tokenizer, params.model, cls.markers)
        return ChatTemplate(tokenizer, params.model, params, encoder.special), encoder

    def _loaded(self) -> HiddenStateReader:
        """The model in this process."""
        from bonbench.reward_models.lm.causal_lm import load_as
        from bonbench.reward_models.lm.reader import HiddenStateReader

        params = self.params
        module, _, name = self.conventions[self.convention].model_class.partition(":")
        kind = getattr(import_module(module), name)
        lm = load_as(kind, params.model, params.dtype, params.device)
        return HiddenStateReader(lm, partial(self._rewards, lm), params.max_batch_tokens)

    def _served(self) -> Reader:
        """The model in an engine of vLLM."""
        from bonbench.reward_models.vllm.readers import ClassifierReader

        architecture = self.conventions[self.convention].served_as
        assert architecture is not None  # checked before
        return ClassifierReader(self._to_serve(), architecture, at_end=self.reward == "ORM")

    def _to_serve(self) -> Served:
        from bonbench.reward_models.vllm.readers import Served

        params = self.params
        return Served(params.model, params.dtype, params.max_batch_tokens, params)

    @abstractmethod
    def _rewards(self, lm: PreTrainedModel, hidden: torch.Tensor) -> torch.Tensor:
        """From hidden states [tokens read, width] of one solution to its rewards [steps], or [1] of an ORM."""

    def describe(self) -> ModelFacts:
        return self.reader.facts()

    def score(self, batch: Sequence[Solution]) -> list[StepScores]:
        """One record per solution, in order.

        Raises:
            Incomplete: where its reader fails on some, and has read others.
        """
        # Of equal ones the first, which an error line then names.
        solutions = {_what_is_read(s): s for s in reversed(batch)}
        encoded = dict(zip(solutions, self.encode(list(solutions.values())), strict=True))
        readings = {key: tokens for key, tokens in encoded.items() if tokens.reads}
        why: Mapping[int, str] = {}
        rewards: Sequence[list[float] | None]
        try:
            rewards = self.reader.rewards(list(readings.values()))
        except PartlyRead as error:
            rewards, why = error.rewards, error.why
        rewards_of = {key: of for key, of in zip(readings, rewards, strict=True) if of is not None}
        unread = {key: why[place] for place, key in enumerate(readings) if place in why}
        scored, missing = [], dict[str, str]()
        for solution in batch:
            key, response = _what_is_read(solution), solution.response
            if key in unread:
                where = f"sample {response.sample} of {response.generator}"
                missing.setdefault(response.problem_id, f"{where}: {unread[key]}")
                continue
            if key not in readings:
                scored.append(self.unscored(solution))
                continue
            ends = solution.step_ends if self.reward == "PRM" else (len(response.text),)
            of, reading = rewards_of[key], readings[key]
            scored.append(self.record(solution, of, ends[: len(of)], len(reading.ids) - reading.n_prompt))
        if missing:
            raise Incomplete(scored, missing)
        return scored

    def encode(self, solutions: Sequence[Solution]) -> list[Marked]:
        """Tokens of each solution, and where its rewards are read: nowhere in one that is left unscored.

        Raises:
            UserError: for a solution longer than the model's positions, where ``too_long`` makes an error of it.
        """
        encoded = self.encoder.encode_layouts([self._laid_out(self.params, self.chat, s) for s in solutions])
        return [self._fitting(tokens, s) for tokens, s in zip(encoded, solutions, strict=True)]

    def _fitting(self, tokens: Marked, solution: Solution) -> Marked:
        """The tokens that the model reads of a solution, as ``too_long`` wants it."""
        limit = self.reader.limit
        if tokens.refused:
            return self._refused(tokens, solution)
        if limit is None or len(tokens.ids) <= limit:
            return tokens
        if self.params.too_long == "error":
            raise refusal(self.params.model, limit, solution.response, len(tokens.ids))
        if self.params.too_long == "skip" or tokens.n_prompt >= limit:
            return replace(tokens, reads=[])
        # A PRM is read at the steps that end in time; an ORM at the last token that is left, besides its prompt.
        reads = [at for at in tokens.reads if at < limit] + ([limit - 1] if self.reward == "ORM" else [])
        return replace(tokens, ids=tokens.ids[:limit], reads=reads)

    def _refused(self, tokens: Marked, solution: Solution) -> Marked:
        """A solution that the chat template does not take is left unscored, and the reason says so from here on."""
        response = solution.response
        if self.params.too_long == "error":
            raise UserError(
                f"{tokens.refused} (sample {response.sample} of {response.generator} for problem "
                f"{response.problem_id!r}); let too_long be skip to leave it without a score"
            )
        if self._REFUSED not in self.unscored_because:
            self.unscored_because += self._REFUSED
        return tokens

    def _check_ids(self, ids: Mapping[str, int]) -> None:
        """Tags and answers must be the tokens of the model's training, alone and where they stand in a layout."""
        solution = Solution(Problem("", "1 + 1 = ?", "2"), Response("", "", 0, "Step 1: 2"))
        layout = self.conventions[self.convention].layout(self.chat, solution)
        tokens = self.encoder.encode([layout.pieces])[0]
        made = {text: {self.encoder.only_token(text)} for text in ids}
        for k, piece in enumerate(layout.pieces):
            if piece.trusted and (text := piece.text.strip()) in ids:
                made[text].add(tokens.ids[tokens.last(k)])
        for text, id_ in ids.items():
            if made[text] != {id_}:
                others = ", ".join(map(str, sorted(made[text])))
                raise UserError(f"{self.params.model}: its tokenizer makes {others} of {text!r}, which should be {id_}")


def _what_is_read(solution: Solution) -> tuple[str, str, tuple[int, ...] | None]:
    return solution.problem.problem, solution.response.text, solution.given_ends
