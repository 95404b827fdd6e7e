"""Prompts change at midnight: a chat template writes today's date.

A run that goes on the next day mixes prompts, and stored scores are those of another day than their key says.

Reports: sgl-project/sglang#3296, sgl-project/sglang#5927.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import chat_templates
import pytest
from tiny_models import make_model, make_tokenizer

from bonbench.generators.prompts import Codec
from bonbench.reward_models.text.chat import ChatTemplate
from harness.core.prompt import DAY, Asked, PromptParams
from harness.experiment.entries import build
from harness.experiment.model_files import Artifacts

MAY = datetime.date(2025, 5, 1)


def test_the_day_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.utils import chat_template_utils

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            raise AssertionError("a template has asked what day it is")

    tokenizer = make_tokenizer(chat_templates.DATED)
    monkeypatch.setattr(chat_template_utils, "datetime", Clock)
    for day, said in ((None, "26 Jul 2024"), (MAY, "01 May 2025")):
        sampled = Codec(PromptParams(), tokenizer, "m", None, day).prompt("2?")
        assert sampled == f"<|system|>Today is {said}.<|end|><|user|>2?<|end|><|assistant|>"
        chat = ChatTemplate(tokenizer, "m", Asked(few_shot=(), date=day))
        assert "".join(piece.text for piece in chat.prompt("2?")) == sampled


def test_the_day_is_in_the_key_where_the_template_asks(tmp_path: Path) -> None:
    plain, dated = make_model(tmp_path / "plain"), make_model(tmp_path / "dated")
    (tmp_path / "dated/chat_template.jinja").write_text(chat_templates.DATED)
    kinds: list[tuple[Any, dict[str, Any]]] = [
        ("generators", {"type": "transformers"}),
        ("token_scorers", {"type": "causal-lm"}),
        ("reward_models", {"type": "step-token"}),
        ("trainers", {"type": "step-token"}),
    ]
    for kind, entry in kinds:
        model = "base" if kind == "trainers" else "model"

        def key(
            folder: str,
            kind: Any = kind,
            entry: dict[str, Any] = entry,
            model: str = model,
            planned: bool = False,
            **more: Any,
        ) -> Any:
            spec = build(kind, "x", {**entry, model: folder, **more}, "x", {})
            return Artifacts({folder: "planned"} if planned else {}).identity(spec)["params"].get("date")

        assert key(dated) == key(dated, date=str(DAY)) == str(DAY)
        assert key(dated, date=MAY) == "2025-05-01"
        assert key(plain) is None and key(plain, date=MAY) is None
        # Whether the template of a model that is not there yet asks is not known: what is given counts, and stays.
        assert key(dated, planned=True) is None and key("owner/name") is None
        assert key(dated, planned=True, date=MAY) == key("owner/name", date=MAY) == "2025-05-01"
    raw = build("generators", "x", {"type": "transformers", "model": dated, "template": "{problem}"}, "x", {})
    assert "date" not in Artifacts().identity(raw)["params"]
