"""Where memory is too short for a batch, half of it is computed at once: in a process of limited address space."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_models import make_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

SUPPORT = str(Path(__file__).parents[1] / "support")
#: Reads 64 texts in two ways and samples 64 responses: first with all memory, then with too little. Then it trains.
SCRIPT = """
import json, logging, resource, sys
from functools import partial
from pathlib import Path
import torch
from bonbench.generators.transformers import TransformersGenerator, TransformersParams
from bonbench.reward_models.lm import causal_lm
from bonbench.reward_models.text.pieces import Marked
from bonbench.reward_models.training.implicit import ImplicitTrainer, ImplicitTrainerParams
from harness.core.errors import UserError
from harness.core.records import Problem, Sampling
from harness.engine.local_executor import in_this_process
sys.path.insert(0, sys.argv[2])
from training_data import graded_sums

model = sys.argv[1]
lm = causal_lm.load(model, "float32", "cpu")
texts = torch.randint(6, 256, (64, 60), generator=torch.Generator().manual_seed(0)).tolist()
readings = [Marked(ids, 1, range(59)) for ids in texts]
generator = TransformersGenerator(TransformersParams(model=model, batch_size=64), "g")
problems = [Problem(str(i), f"{i} + 1 = ?", "1") for i in range(64)]

def reads(trees):
    causal_lm._fitting.clear()
    causal_lm.supports_trees = lambda model: trees
    return torch.stack(causal_lm.read(lm, readings, partial(causal_lm.target_logprobs, lm), 64 * 60)).tolist()

def samples():
    given = generator.generate(problems, Sampling(n=1, max_tokens=4), {p.problem_id: [7] for p in problems})
    return [r.text for r in given]

def room(n_bytes):  # so many besides those it has
    taken = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize")) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (taken + n_bytes, -1))

work = {"trees": lambda: reads(True), "rows": lambda: reads(False), "samples": samples}
notes = []
logging.getLogger("bonbench").addHandler(logging.Handler())
logging.getLogger("bonbench").handlers[0].emit = lambda record: notes.append(record.getMessage())
whole = {name: do() for name, do in work.items()}
assert not notes
room(200 << 20)
halved = {name: do() for name, do in work.items()}
refusal = ""
room(400 << 20)  # for what else a training is
try:
    asked = ImplicitTrainerParams(base=model, objective="ce", responses=4, max_batch_tokens=8192)
    ImplicitTrainer(asked, "r").train(graded_sums(model), Path(model) / "trained", lambda *_: None, in_this_process)
except UserError as error:
    refusal = str(error)
resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
print(json.dumps({"whole": whole, "halved": halved, "notes": notes, "refusal": refusal}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells how much a process has")
@pytest.mark.thorough
def test_smaller_batches_are_computed(tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    config = LlamaConfig(  # a token takes 256 KiB, the weights 12 MiB
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=2**15,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    gives_back = {"MALLOC_MMAP_THRESHOLD_": "65536"}  # freed memory is the system's again, not the process's
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), SUPPORT],
        capture_output=True,
        text=True,
        env=os.environ | gives_back,
    )
    assert done.returncode == 0, done.stderr
    given = json.loads(done.stdout)
    for name in ("trees", "rows"):
        np.testing.assert_allclose(given["halved"][name], given["whole"][name], atol=1e-5)
    assert given["halved"]["samples"] == given["whole"]["samples"]
    notes = given["notes"]
    assert any(note.startswith(f"{tmp_path}: memory is short, it takes 1888 tokens at once") for note in notes)
    assert any(note.startswith(f"{tmp_path}: memory is short, it takes 32 responses at once") for note in notes)
    assert "max_batch_tokens: 8192. Lower it" in given["refusal"]
