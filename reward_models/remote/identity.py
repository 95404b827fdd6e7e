"""What a server says of the model that it has: its name and version, which are in the key of its scores."""

from __future__ import annotations

import os
from typing import Any

from bonbench.reward_models.remote.params import RemoteParams
from harness.core.errors import UserError, suggest
from harness.core.server.client import Client

#: What vLLM's server says of a model that decides its scores: ``root`` is the model's path or hub id.
_FACTS = ("id", "root", "parent", "max_model_len", "revision")


class NoSecret(UserError):
    """The environment lacks a variable that a header is made of: another machine may have it."""


def client_of(params: RemoteParams) -> Client:
    """A client of the server, with the headers of the entry.

    Raises:
        NoSecret: where the environment does not have one of them.
        UserError: where one of them has a character that no header has.
    """
    headers = {}
    for name, variable in params.headers.items():
        if not os.environ.get(variable, "").strip():
            raise NoSecret(f"headers.{name}: the environment variable {variable} is not set")
        headers[name] = os.environ[variable].strip()
        if not (headers[name].isascii() and headers[name].isprintable()):
            raise UserError(f"headers.{name}: the environment variable {variable} holds a character that no header has")
    return Client(params, headers)


def served_by(client: Client, params: RemoteParams) -> dict[str, Any]:
    """What the server says of its model, as JSON.

    Raises:
        UserError: where no server answers, or it does not have the model.
    """
    return client.wait_for(_asked(client, params))


async def _asked(client: Client, params: RemoteParams) -> dict[str, Any]:
    if params.api == "json":
        assert params.about is not None
        told = await client.look(params.about, _as_it_is)
        if told is None:
            raise UserError(f"about: {params.base_url} tells nothing of its model at {params.about}")
        return {"about": told}
    models = await client.look("v1/models", _models)
    if models is None:
        raise UserError(f"base_url: {params.base_url} lists no models at /v1/models, as vLLM's server does")
    version = await client.look("version", lambda answer: str(answer["version"]))
    return {**_one_of(models, params), **({"version": version} if version else {})}


def _as_it_is(answer: Any) -> Any:
    return answer


def _models(answer: Any) -> dict[str, dict[str, Any]]:
    return {
        str(model["id"]): {fact: model[fact] for fact in _FACTS if model.get(fact) is not None}
        for model in answer["data"]
    }


def _one_of(models: dict[str, dict[str, Any]], params: RemoteParams) -> dict[str, Any]:
    names = ", ".join(models)
    if params.model is None and len(models) != 1:
        raise UserError(f"model: {params.base_url} has {names or 'no model'}: say which")
    name = next(iter(models)) if params.model is None else params.model
    if name not in models:
        raise UserError(f"model: {params.base_url} has no model named {name!r}{suggest(name, models)}")
    return models[name]
