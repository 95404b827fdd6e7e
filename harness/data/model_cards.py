"""The example in a model's card: the variables of its Python code that are plain data."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.core.cards import Card
from harness.core.errors import UserError, cannot_load
from harness.core.hub_models import pretrained

_BLOCK = re.compile(r"^```(?:python|py)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def read_card(model: str) -> str:
    """The card of a model folder, or of a model of the hub.

    Raises:
        UserError: where there is none, or it cannot be fetched.
    """
    if Path(model).exists():
        path = Path(model) / "README.md"
        if not path.is_file():
            raise UserError(f"{model} has no README.md, which has the card's example: copy it from the model's page")
    else:
        from huggingface_hub import hf_hub_download

        which = pretrained(model)
        try:
            path = Path(
                hf_hub_download(
                    which["pretrained_model_name_or_path"],
                    "README.md",
                    revision=which.get("revision"),
                    repo_type="model",
                )
            )
        except Exception as error:  # the hub's library raises its own, and those of its HTTP client
            raise cannot_load(f"the card of {model}", error) from error
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def example(card: Card, text: str, model: str) -> tuple[str, list[str | list[str]]]:
    """The problem and the responses of the example in a card's text.

    Raises:
        UserError: where the card has no such variables.
    """
    variables = _variables(text)
    problem = _at(variables, card.problem)
    responses = [_at(variables, name) for name in card.responses]
    if not isinstance(problem, str) or not all(_is_response(response) for response in responses):
        wanted = ", ".join((card.problem, *card.responses))
        raise UserError(f"the card of {model} has no longer the example that is known here ({wanted}): compare by hand")
    return problem, responses


def _variables(text: str) -> dict[str, Any]:
    """The variables that the card's code sets to plain data. None of the code is run."""
    found: dict[str, Any] = {}
    for block in _BLOCK.findall(text):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)  # of backslashes in mathematics
                statements = ast.parse(block).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for statement in statements:
            if isinstance(statement, ast.Assign) and isinstance(target := statement.targets[0], ast.Name):
                try:
                    found[target.id] = ast.literal_eval(statement.value)
                except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                    continue
    return found


def _at(variables: dict[str, Any], name: str) -> Any:
    variable, _, key = name.partition(".")
    value = variables.get(variable)
    return value.get(key) if key and isinstance(value, dict) else value


def _is_response(value: Any) -> bool:
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return isinstance(value, str) or (is_list and bool(value) and all(isinstance(step, str) for step in value))
