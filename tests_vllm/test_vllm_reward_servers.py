"""Rewards from vLLM's own server: a classifier's and a process reward model's equal those of the same model here."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reward_checkpoints import make_checkpoint
from test_vllm_scoring import CASES, SIZES, TEXTS, solution

from bonbench.reward_models.remote.model import RemoteRewardModel
from bonbench.reward_models.remote.params import RemoteParams
from harness.core.errors import UserError
from harness.core.records import StepScores
from harness.core.registry import find

pytestmark = pytest.mark.thorough

POSITIONS = 256
SERVED = {
    "classifier": ["--convert", "classify", "--hf-overrides", '{"architectures": ["LlamaForSequenceClassification"]}'],
    "qwen-prm": [
        "--hf-overrides",
        '{"architectures": ["Qwen2ForProcessRewardModel"]}',
        "--pooler-config",
        '{"task": "token_classify", "tok_pooling_type": "ALL"}',
    ],
}
COMMON = ["--host", "127.0.0.1", "--runner", "pooling", "--dtype", "float32", "--enforce-eager"]
COMMON += ["--no-enable-chunked-prefill", "--kv-cache-memory-bytes", "32M"]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[str, str]]]:
    """The models' folders here, and the addresses of the servers that have them."""
    root = tmp_path_factory.mktemp("servers")
    found, lines = {}, []
    for name, words in SERVED.items():
        case = CASES[name]
        config = {**SIZES, "max_position_embeddings": POSITIONS, **case.config}
        folder = make_checkpoint(root / name, case.family, case.heads, seed=3, **config)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        found[name] = folder, f"http://127.0.0.1:{port}"
        lines.append(["--model", folder, "--served-model-name", name, "--port", str(port), *COMMON, *words])
    script = Path(__file__).with_name("serve_several.py")
    environment = {**os.environ, "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    with (root / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, script, json.dumps(lines)], stdout=log, stderr=subprocess.STDOUT, env=environment
        )
    try:
        deadline = time.monotonic() + 1200
        waiting = [url for _, url in found.values()]
        while waiting:
            said = (root / "log").read_text()[-3000:]
            assert process.poll() is None and time.monotonic() < deadline, said
            try:
                urllib.request.urlopen(f"{waiting[0]}/health", timeout=5).close()
                waiting.pop(0)
            except (OSError, urllib.error.URLError):
                time.sleep(0.5)
        yield found
    finally:
        process.terminate()
        process.wait(60)


def scores(folder: str, url: str, name: str, **params: Any) -> tuple[list[StepScores], list[StepScores]]:
    """What the server and the model here say of the same solutions."""
    case = CASES[name]
    batch = [solution(text, i) for i, text in enumerate(TEXTS)]
    asked = {"convention": case.convention, "too_long": "truncate"}
    api = {"sequence-classifier": "vllm-classify", "head-prm": "vllm-pooling"}[case.type]
    remote = RemoteRewardModel.ask_server(
        RemoteParams.model_validate({"api": api, "base_url": url, "tokenizer": folder, **asked, **params})
    )
    assert remote.served is not None
    assert (remote.served["id"], remote.served["root"], remote.served["max_model_len"]) == (name, folder, POSITIONS)
    cls = find("reward_models", case.type)
    here: Any = cls(cls.Params.model_validate({"model": folder, **asked}), "rm")
    return RemoteRewardModel(remote, "rm").score(batch), here.score(batch)


@pytest.mark.parametrize("name", list(SERVED))
def test_rewards_equal_those_of_the_model_here(name: str, servers: dict[str, tuple[str, str]]) -> None:
    found, expected = scores(*servers[name], name)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.step_ends, ours.n_tokens, ours.sample) == (theirs.step_ends, theirs.n_tokens, theirs.sample)
        np.testing.assert_allclose(ours.step_rewards, theirs.step_rewards, atol=1e-4)
    assert len({record.step_rewards for record in expected}) > 5  # the comparison could have failed


def test_two_texts_compared(servers: dict[str, tuple[str, str]]) -> None:
    _, url = servers["classifier"]
    params = RemoteParams.model_validate({"api": "vllm-score", "base_url": url})
    batch = [solution("14", 0), solution("15", 1), solution("apples " * 300, 2)]
    first, second, long = RemoteRewardModel(RemoteRewardModel.ask_server(params), "rm").score(batch)
    assert first.step_rewards != second.step_rewards
    assert long.step_rewards == (), "the server says that it is too long"
    with pytest.raises(UserError, match=r"no model named 'clasifier'; did you mean classifier\?"):
        RemoteRewardModel.ask_server(params.model_copy(update={"model": "clasifier"}))
