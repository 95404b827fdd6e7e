"""From the entries of an experiment file, and of the command line, to configured components.

A name of a generator, or of a reward model that the experiment trains, may stand wherever a model is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.core.errors import UserError, first_error
from harness.core.files import no_file
from harness.core.hub_models import at_revision, canonical
from harness.core.params import ComponentParams, Mark, PassOf
from harness.core.registry import absolute, find
from harness.core.shipped import located
from harness.core.terms import Kind
from harness.data.documents import parse_yaml
from harness.data.export_facts import FACTS, is_export
from harness.experiment.model_files import check_model, named
from harness.experiment.spec import Pool, Spec, marked

_SPEC = re.compile(r"(?P<type>[^:=]+\.py:[\w-]+|[^:]+)(?::(?P<options>.*))?", re.DOTALL)


def build(
    kind: Kind,
    name: str,
    entry: Mapping[str, Any],
    where: str,
    models: Mapping[str, str],
    pool: Pool | None = None,
    asks: Mapping[str, Mapping[str, Any]] | None = None,
) -> Spec[Any]:
    """Check an entry against its component's parameters.

    Args:
        models: what a name means where a model is asked for (name -> folder or hub id).
        pool: the defaults of ``replicas``, ``num_cpus`` and ``num_gpus``.
        asks: how a model is asked where its entry does not say (what the entry calls it -> parameters of the prompt).

    Raises:
        UserError: naming ``where``, the key and the mistake.
    """
    type_, options = _type_and_options(kind, entry, where)
    with named(where):
        cls = find(kind, type_)
    resources = pool_of(options, where, pool)
    options = {key: value for key, value in options.items() if key not in Pool.model_fields}
    if asks and (main := _main_model(cls.Params)):
        options = asked_with(asks.get(str(options.get(main)), {}), options, cls.Params)
    spec: Spec[Any] = Spec(
        kind=kind,
        name=name,
        type_=absolute(type_),
        params=_validated(cls.Params, _with_paths(cls.Params, options, models, where), where),
        pool=resources,
        where=where,
    )
    _check_files(spec, models)
    with named(where):
        cls.check(spec.params)
    return spec


def pool_of(entry: Mapping[str, Any], where: str, defaults: Pool | None = None) -> Pool:
    """The resources that an entry asks for.

    Raises:
        UserError: naming ``where``, the key and the mistake.
    """
    given = {key: entry[key] for key in Pool.model_fields if key in entry}
    pool: Pool = _validated(Pool, (defaults or Pool()).model_dump() | given, where)
    return pool


def asked_with(asks: Mapping[str, Any], options: Mapping[str, Any], params: type[ComponentParams]) -> dict[str, Any]:
    """The options with the parameters of a prompt that ``params`` have and the options do not say.

    Options with a raw ``template`` say all of the prompt. Options that say what a user's turn is mean a chat.
    """
    if options.get("template") is not None:
        return dict(options)
    known = params.model_fields.keys() - ({"template"} if "user_template" in options else set())
    return {**{name: value for name, value in asks.items() if name in known}, **options}


def token_scorer_entry(asked: PassOf) -> dict[str, Any]:
    """The entry of the token scorer that makes a pass."""
    return {"type": "causal-lm", **({"model": asked} if isinstance(asked, str) else asked)}


def parse_spec(text: str, option: str = "--reward-model") -> tuple[str, dict[str, Any]]:
    """The name and the entry that an option of the command line describes.

    ``text`` is a registered name or ``path.py:Class``. Parameters may follow after a colon: ``key=value,...`` with
    values in YAML, or one YAML mapping ``{key: value, ...}``.

    Args:
        option: the option that ``text`` was given to, for the error message.

    Raises:
        UserError: for parameters in neither form.
    """
    match = _SPEC.fullmatch(text)
    if match is None:
        raise UserError(f"{option} {text!r}: expected NAME, NAME:key=value,..., NAME:{{key: value}} or path.py:Class")
    type_, parameters = match["type"], match["options"] or ""
    where = f"{option} {text}"
    if parameters.lstrip().startswith("{"):
        options = parse_yaml(parameters, where)
        if not isinstance(options, dict) or not all(isinstance(key, str) for key in options):
            raise UserError(f"{where}: {parameters!r} is not a mapping of parameters")
    else:
        options = dict(_assignment(part, where) for part in _at_top_level(parameters) if part)
    return type_.rpartition(":")[2], {"type": type_, **options}


def _assignment(text: str, where: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"{where}: {text!r} is not key=value")
    parsed = parse_yaml(value, f"{where}: {key.strip()}")
    # A dash or a colon in a text makes a list or a mapping over several lines, which no option is.
    is_text = isinstance(parsed, (list, dict)) and not value.lstrip().startswith(("[", "{"))
    return key.strip(), value.strip() if is_text else parsed


def _at_top_level(text: str) -> Iterator[str]:
    """The parts between the commas that stand in no brackets."""
    depth = start = 0
    for place, character in enumerate(text):
        depth += (character in "[{") - (character in "]}")
        if character == "," and depth <= 0:
            yield text[start:place]
            start = place + 1
    yield text[start:]


def _type_and_options(kind: Kind, entry: Mapping[str, Any], where: str) -> tuple[str, dict[str, Any]]:
    """The type that an entry names, and the rest of it."""
    options = dict(entry)
    keys = ("dataset", "type") if kind == "datasets" else ("type",)
    types = [options.pop(key) for key in keys if key in options]
    if not types or not isinstance(types[0], str):
        raise UserError(f"{where}: {keys[0]}: missing; `bonbench list` shows the registered ones")
    return types[0], options


def _with_paths(
    params: type[ComponentParams], options: Mapping[str, Any], models: Mapping[str, str], where: str
) -> dict[str, Any]:
    """The options, with names of models and paths of shipped files resolved.

    A ``revision`` belongs to the first model of the component's parameters.
    """
    resolved = dict(options)
    for mark in (Mark.MODEL, Mark.DATA):
        for field in marked(params, mark):
            value = options.get(field)
            if isinstance(value, str):
                resolved[field] = _model(value, models) if mark is Mark.MODEL else located(value)
    main = _main_model(params)
    if main in resolved and "revision" in resolved and "revision" not in params.model_fields:
        with named(where):
            resolved[main] = at_revision(str(resolved[main]), str(resolved.pop("revision")))
    return resolved


def _model(spelled: str, models: Mapping[str, str]) -> str:
    return models[spelled] if spelled in models else canonical(located(spelled))


def _main_model(params: type[ComponentParams]) -> str | None:
    """The parameter that an entry's ``revision`` and inherited prompt are about: its first model."""
    return next(iter(marked(params, Mark.MODEL)), None)


def _check_files(spec: Spec[Any], models: Mapping[str, str]) -> None:
    """Raise :class:`UserError` where a model or a data file is missing."""
    for field, value in spec.paths(Mark.MODEL).items():
        if value not in models.values():
            check_model(value, f"{spec.where}.{field}", models, field not in marked(type(spec.params), Mark.TOKENIZER))
    for field, value in spec.paths(Mark.DATA).items():
        if (reason := no_file(Path(value))) and not is_export(Path(value)):
            other = f", and none that `bonbench export` wrote (it has no {FACTS})" if Path(value).is_dir() else ""
            raise UserError(f"{spec.where}.{field}: {value}: {reason}{other}")


def _validated(model: Any, values: Mapping[str, Any], where: str) -> Any:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UserError(first_error(error, model, where)) from None
