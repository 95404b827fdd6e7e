"""A real run with vLLM in a Ray actor, and a real `vllm serve` sampled through the openai generator."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pandas as pd
import pytest
import yaml
from pocket import problems, seeds

from bonbench.generators.openai import OpenAIGenerator
from bonbench.generators.openai_params import OpenAIParams
from bonbench.generators.transformers import TransformersGenerator, TransformersParams
from harness.core.errors import UserError
from harness.core.records import Sampling

BIN = Path(sys.executable).parent


def alive(mark: str) -> list[str]:
    """Command lines of the processes that were started with ``mark`` in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def test_run_in_ray(models: Path, tmp_path: Path) -> None:
    config = {
        "name": "run",
        "output": str(tmp_path / "results"),
        "problems": {"test": {"dataset": "pocket", "limit": 12}},
        "sampling": {"n": 8, "max_tokens": 60},
        "generators": {"weak": {"type": "vllm", "model": str(models / "weak"), "keep_token_ids": True}},
        "reward_models": {"likelihood": {"type": "implicit", "policy": "weak", "reference": None}},
        "evaluation": {"n": [1, 8], "bootstrap": 50},
        "problems_per_shard": 6,
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    mark = f"bonbench-test-{uuid4()}"
    run = subprocess.run(
        [BIN / "bonbench", "run", tmp_path / "run.yaml"],
        env={**os.environ, "BONBENCH_TEST": mark},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert run.returncode == 0, run.stderr
    assert "vllm" not in (run.stdout + run.stderr).lower().replace(str(tmp_path), "")
    deadline = time.monotonic() + 120
    while (left := alive(mark)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not left

    read = pd.read_parquet
    responses = pd.concat(read(p) for p in sorted((tmp_path / "results/responses/weak").glob("part-*.parquet")))
    assert list(responses["sample"]) == list(range(8)) * 12
    assert (responses["token_ids"].map(len) == responses["n_tokens"]).all()
    for index in (0, 1):
        shard = responses[6 * 8 * index : 6 * 8 * (index + 1)]
        (row,) = read(tmp_path / f"results/ledger/responses/weak/part-{index:05d}.parquet").to_dict("records")
        assert (row["stage"], row["what"], row["device"]) == ("sample", "weak", "cpu")
        assert row["completion_tokens"] == shard["n_tokens"].sum()
        assert row["prompt_tokens"] == shard.drop_duplicates("problem_id")["n_prompt_tokens"].sum()
        assert row["flops"] > 0
    # What scores responses reads the tokens that were sampled: as many, the end of turn among them.
    scored = pd.concat(read(p) for p in sorted((tmp_path / "results/scores/likelihood/weak").glob("part-*.parquet")))
    assert (scored["n_tokens"].to_numpy() == responses["n_tokens"].to_numpy()).mean() > 0.95


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The server behind `vllm serve`. The command itself looks for a package named vllm, which the CPU build is not.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(models / "middle")]
    command += ["--served-model-name", "middle", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "float32", "--enforce-eager", "--no-enable-chunked-prefill", "--kv-cache-memory-bytes", "1G"]
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "VLLM_NO_USAGE_STATS": "1"},
        )
    try:
        deadline = time.monotonic() + 1200
        while True:
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except (OSError, urllib.error.URLError):
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


def test_vllm_serve_through_the_openai_generator(server: str, models: Path) -> None:
    block, sampling = problems(12), Sampling(n=8, max_tokens=60)
    own = seeds(block, 8)

    def remote(**params: object) -> OpenAIGenerator:
        values = {"base_url": server, "model": "middle", **params}
        return OpenAIGenerator(OpenAIParams.model_validate(values), "remote")

    responses = remote(keep_token_ids=True, concurrency=16).generate(block, sampling, own)
    assert [(r.problem_id, r.sample) for r in responses] == [(p.problem_id, i) for p in block for i in range(8)]
    plain = TransformersGenerator(TransformersParams(model=str(models / "middle")), "plain")
    for r, p in zip(responses, [p for p in block for _ in range(8)], strict=True):
        prompt = plain.codec.encode(p.problem)
        assert r.token_ids is not None
        assert r.n_prompt_tokens == len(prompt)
        assert r.n_tokens == len(r.token_ids)
        assert r.text == plain.codec.decode(prompt, r.token_ids)
        assert r.finish_reason == ("stop" if r.token_ids[-1] in plain.codec.stop_ids else "length")
    again = remote(keep_token_ids=True, concurrency=48).generate(block, sampling, own)
    assert sum(a != b for a, b in zip(responses, again, strict=True)) <= 2
    greedy = Sampling(n=1, temperature=0, max_tokens=60)
    texts = [[r.text for r in g.generate(block, greedy, own)] for g in (remote(), plain)]
    assert texts[0] == texts[1]
    raw = remote(template="{problem}", stop=["="]).generate(block[:2], Sampling(n=2, max_tokens=9), own)
    assert all("=" not in r.text and r.n_tokens <= 9 for r in raw)
    with pytest.raises(UserError, match="answers 404: The model `strong` does not exist"):
        remote(model="strong").generate(block[:1], sampling, own)
    (longest,) = remote().generate(block[:1], Sampling(n=1, max_tokens=400), own)  # of 256 tokens in all
    assert 0 < longest.n_tokens <= 256 - longest.n_prompt_tokens
