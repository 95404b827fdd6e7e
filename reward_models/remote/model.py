"""The reward model ``remote``: its scores come from a server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

from bonbench.reward_models.hidden_state_model import HiddenStateRewardModel
from bonbench.reward_models.remote.identity import NoSecret, client_of, served_by
from bonbench.reward_models.remote.json_api import Asking, JsonApi
from bonbench.reward_models.remote.memory import Memory
from bonbench.reward_models.remote.params import RemoteParams
from bonbench.reward_models.remote.vllm import ServedClassifier, read_score, score_body
from harness.core.components import ModelFacts, RewardModel
from harness.core.errors import Unavailable, UserError
from harness.core.incomplete import Incomplete
from harness.core.prompt import asks
from harness.core.records import Solution, StepScores
from harness.core.server.failures import RequestFailed, ServerFailed
from harness.core.server.replies import is_too_long
from harness.core.user_template import filled

Rewards = list[list[float]]  # of each solution that a request is about
Group = tuple[Asking, ...]  # what one request is about


class RemoteRewardModel(RewardModel[RemoteParams]):
    """A server gives the rewards: vLLM's, or one that gets a problem and a response and answers with a number.

    For vLLM's /classify and /pooling, a solution is laid out and read as for the same model here (``convention``): the
    server gets token ids. To /score, and to servers that are asked in JSON, go the problem and the response as texts.
    Equal responses to a problem are asked about once. A request that fails for good costs its own problem alone.

    Raises:
        UserError: where no server answers, it does not have the model, or has another one than when the run started.
    """

    Params = RemoteParams
    shards_at_once = 64
    _FAMILIES: ClassVar = {"vllm-classify": "sequence-classifier", "vllm-pooling": "head-prm"}

    def __init__(self, params: RemoteParams, name: str = "") -> None:
        super().__init__(params, name)
        self._client = client_of(params)
        self._memory: Memory[Group, Rewards] = Memory(self._client)
        self.served = params.served
        if params.says_what_it_serves:
            self._check_served()
        self._inner = self._laid_out_here() if params.api in self._FAMILIES else None
        self._api = JsonApi(params)
        if self._inner is None:
            self.reward = "PRM" if params.per == "step" else "ORM"  # type: ignore[misc]
            self.score_type = params.score_type
            self.unscored_because = "the server says that it is longer than the model reads"
        else:
            self.reward = self._inner.reward  # type: ignore[misc]
            self.score_type = self._inner.score_type
            self.unscored_because = self._inner.unscored_because
        self.coefficient = params.coefficient

    @classmethod
    def check(cls, params: RemoteParams) -> None:
        """Raise :class:`UserError` for a convention that vLLM's endpoint does not serve."""
        if family := cls._FAMILIES.get(params.api):
            _check_convention(params, family)

    @classmethod
    def ask_server(cls, params: RemoteParams) -> RemoteParams:
        """The parameters with what the server says of its model.

        Raises:
            Unavailable: where no server answers, or a secret is not in this environment.
            UserError: where the server does not have the model.
        """
        if params.served is not None or not params.says_what_it_serves:
            return params
        try:
            client = client_of(params.model_copy(update={"tries": min(params.tries, 2)}))
            return params.model_copy(update={"served": served_by(client, params)})
        except (ServerFailed, NoSecret) as error:
            raise Unavailable(str(error)) from None

    @classmethod
    def requests(cls, params: RemoteParams, n_responses: int) -> int:
        return -(-n_responses // JsonApi(params).at_once)

    @classmethod
    def count_too_long(cls, params: RemoteParams, batches: Iterable[Sequence[Solution]]) -> int | None:
        if params.api not in cls._FAMILIES:
            return None
        family = _family(cls._FAMILIES[params.api])
        parts = ([p for s in batch if (p := params.part_of(s).solution) is not None] for batch in batches)
        return family.count_too_long(_params_of(family, params), parts)

    def why_unscored(self, solution: Solution) -> str:
        if self._inner is not None:  # it may have refused some since
            self.unscored_because = self._inner.unscored_because
        return super().why_unscored(solution)

    def describe(self) -> ModelFacts | None:
        return None if self._inner is None else self._inner.describe()

    def responses_in_flight(self) -> int:
        return 2 * self.params.concurrency * self._api.at_once

    def score(self, batch: Sequence[Solution]) -> list[StepScores]:
        if self._inner is not None:
            self._inner.name = self.name
            return self._inner.score(batch)
        if self.params.api == "vllm-score":
            ask: Callable[[Group], Awaitable[Rewards]] = self._ask_score
        else:
            ask = self._ask_json
        return self._asked(batch, ask)

    def _asked(self, batch: Sequence[Solution], ask: Callable[[Group], Awaitable[Rewards]]) -> list[StepScores]:
        """What requests about the texts of the solutions give.

        Raises:
            Incomplete: where some fail for good.
            UserError: where ``too_long`` makes an error of a response that is too long.
        """
        template = self.params.user_template
        keys = [
            Asking(filled(template, s.problem.problem), s.response.text, tuple(step.strip() for step in s.steps))
            for s in batch
        ]
        distinct, size = list(dict.fromkeys(keys)), self._api.at_once
        groups = [tuple(distinct[i : i + size]) for i in range(0, len(distinct), size)]
        given, failed = self._memory.ask_all({group: partial(ask, group) for group in groups}, lambda g: g[0].problem)
        rewards = {key: of for group, some in given.items() for key, of in zip(group, some, strict=True)}
        errors = {key: error for group, error in failed.items() for key in group}
        made, missing = [], dict[str, str]()
        for solution, key in zip(batch, keys, strict=True):
            where = f"sample {solution.response.sample} of {solution.response.generator}"
            if key in rewards:
                made.append(self._scored(solution, rewards[key]))
            elif isinstance(error := errors[key], RequestFailed) and is_too_long(error.answer):
                if self.params.too_long == "error":
                    raise UserError(f"{where} for problem {solution.problem.problem_id!r}: {error}")
                made.append(self.unscored(solution))
            else:
                missing.setdefault(solution.problem.problem_id, f"{where}: {error}")
        if missing:
            raise Incomplete(made, missing)
        return made

    async def _ask_json(self, solutions: Group) -> Rewards:
        body, params = self._api.body(solutions), self.params
        return await self._client.post(params.path, body, lambda answer: self._api.rewards(answer, solutions))

    async def _ask_score(self, solutions: Group) -> Rewards:
        (asking,) = solutions
        return [await self._client.post("score", score_body(self._name, asking.problem, asking.response), read_score)]

    def _scored(self, solution: Solution, rewards: list[float]) -> StepScores:
        response = solution.response
        ends = solution.step_ends if self.params.per == "step" else (len(response.text),)
        return self.record(solution, rewards, ends, response.n_tokens)

    @property
    def _name(self) -> str:
        """The model's name at vLLM's server."""
        assert self.served is not None
        return str(self.served["id"])

    def _check_served(self) -> None:
        found = served_by(self._client, self.params)
        if self.served is None:
            raise UserError(f"base_url: no server answered at {self.params.base_url} when this started: start it again")
        if found != self.served:
            raise UserError(
                f"base_url: {self.params.base_url} has {_said(found)} now, and had {_said(self.served)} when this "
                "started, or when the scores were stored: start it again"
            )

    def _laid_out_here(self) -> HiddenStateRewardModel[Any]:
        """The reward model of the same family here, with a reader that asks the server."""
        from transformers import AutoConfig

        from harness.core.errors import cannot_load
        from harness.core.hub_models import pretrained

        assert self.served is not None and self.params.tokenizer is not None
        family = _family(self._FAMILIES[self.params.api])
        try:
            config = AutoConfig.from_pretrained(**pretrained(self.params.tokenizer))
        except Exception as error:  # a wrong value in a config.json raises whatever the config's code meets first
            raise cannot_load(self.params.tokenizer, error) from error
        reach = getattr(config.get_text_config(), "max_position_embeddings", None)
        limit = min((n for n in (reach, self.served.get("max_model_len")) if n is not None), default=None)
        at_end = self.params.api == "vllm-classify"
        reader = ServedClassifier(self._client, self._name, config, limit, at_end)
        return family(_params_of(family, self.params), self.name, reader)


def _family(name: str) -> type[HiddenStateRewardModel[Any]]:
    from bonbench.reward_models.head_prm import HeadPRM
    from bonbench.reward_models.sequence_classifier import SequenceClassifier

    families: list[type[HiddenStateRewardModel[Any]]] = [HeadPRM, SequenceClassifier]
    return next(family for family in families if family.family == name)


def _params_of(family: type[HiddenStateRewardModel[Any]], params: RemoteParams) -> Any:
    said = {"convention": params.convention, "too_long": params.too_long, **asks(params)}
    return family.Params.model_validate({"model": params.tokenizer, **said})


def _check_convention(params: RemoteParams, name: str) -> None:
    from pydantic import ValidationError

    from harness.core.errors import first_error

    family = _family(name)
    served = [key for key, convention in family.conventions.items() if convention.served_as is not None]
    if params.convention is not None and params.convention not in served:
        raise UserError(f"convention: api: {params.api} has {', '.join(served)} (it is {params.convention!r})")
    try:
        family.check(_params_of(family, params))
    except ValidationError as error:
        raise UserError(first_error(error, family.Params)) from None


def _said(served: Any) -> str:
    return ", ".join(f"{key} {value}" for key, value in served.items())
