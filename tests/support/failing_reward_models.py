"""Reward models that die or fail, and an experiment with one of them."""

from __future__ import annotations

import json
from pathlib import Path

REWARD_MODELS = '''
import logging
import os
import signal
import threading
import time
from pathlib import Path

from harness import ComponentParams, RewardModel, StepScores, UserError
from harness.core import shard_progress


class Params(ComponentParams):
    marks: str


class Flaky(RewardModel[Params]):
    """Dies the first time it meets a problem, as if its node had gone."""

    Params = Params

    def score(self, batch):
        mark = Path(self.params.marks) / batch[0].problem.problem_id
        if not mark.exists():
            mark.touch()
            os._exit(1)
        return self.scores(batch)

    def scores(self, batch):
        return [
            StepScores(s.response.problem_id, s.response.generator, s.response.sample, self.name, (1.0,), None, 1)
            for s in batch
        ]


class Broken(RewardModel[Params]):
    """Cannot be built where it should run."""

    Params = Params

    def __init__(self, params, name=""):
        raise OSError("weights are truncated")

    def score(self, batch):
        raise NotImplementedError


class Mended(Flaky):
    """Fails until somebody mends what it needs."""

    def score(self, batch):
        if not (Path(self.params.marks) / "mended").exists():
            raise OSError("disk full")
        return self.scores(batch)


class Choosy(Flaky):
    """Finds a mistake of the user's only when it runs."""

    def score(self, batch):
        raise UserError("its tokenizer has no chat template")


class Unreadable(Flaky):
    """Finds when it is built that its model cannot be read."""

    def __init__(self, params, name=""):
        raise UserError("its model cannot be loaded")


class Warned(Flaky):
    """Says something that somebody should know."""

    def score(self, batch):
        logging.getLogger("bonbench.mine").warning("memory is short for %s", batch[0].problem.problem_id)
        return self.scores(batch)


class Together(Flaky):
    """Scores no shard before all three are there, and fails one of them."""

    shards_at_once = 3
    all_three = threading.Barrier(3, timeout=60)

    def responses_in_flight(self):
        return 12

    def score(self, batch):
        shard_progress.report(0, len(batch))
        if len(batch) == 4:  # the whole shard, not what is tried again of it
            self.all_three.wait()
        if batch[0].problem.problem_id == "p2":
            raise ValueError("not this one")
        logging.getLogger("bonbench.mine").warning("memory is short for %s", batch[0].problem.problem_id)
        return self.scores(batch)


class Counted(Flaky):
    """Leaves a mark whenever it is built."""

    def __init__(self, params, name=""):
        super().__init__(params, name)
        marks = Path(params.marks)
        (marks / str(len(list(marks.iterdir())))).touch()

    def score(self, batch):
        return self.scores(batch)


class Interrupted(Flaky):
    """Somebody presses Ctrl-C while it computes."""

    def score(self, batch):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        print("the shard was finished")
        return self.scores(batch)
'''

#: (problem, sample) of every score, in order.
SCORED = [(f"p{i}", k) for i in range(6) for k in range(2)]


def experiment(folder: Path, reward_model: str, *others: str) -> Path:
    """Six problems with two recorded responses in three shards, scored by two replicas: by ``mine``, and by others that
    have the names of their classes."""
    rows = [
        {"problem_id": f"p{i}", "problem": f"{i} + 1", "gold": str(i + 1), "samples": [{"text": "1"}, {"text": "2"}]}
        for i in range(6)
    ]
    (folder / "responses.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (folder / "rm.py").write_text(REWARD_MODELS)
    (folder / "marks").mkdir(exist_ok=True)
    config = folder / "experiment.yaml"
    entries = [
        f"  {name}: {{type: '{folder}/rm.py:{model}', marks: {folder}/marks, replicas: 2}}\n"
        for name, model in {"mine": reward_model, **{other: other for other in others}}.items()
    ]
    config.write_text(
        f"name: x\nresponses: {folder}/responses.jsonl\noutput: {folder}/results\nproblems_per_shard: 2\n"
        f"reward_models:\n{''.join(entries)}"
    )
    return config
