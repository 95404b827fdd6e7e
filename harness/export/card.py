"""The card of an exported folder: the README that says what is in it, how it was made and how it is read back."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import yaml

from harness.data.export_facts import PROBLEMS, SECOND, ExportFacts, as_exported
from harness.export.shareable import block, code, named, shareable, table
from harness.storage.manifest import Manifest

#: The parts of an experiment that say how what is exported was made.
_MADE_BY = ("seed", "sampling", "defaults", "generators", "verifier", "second_verifier", "reward_models")


def card(
    facts: ExportFacts, manifest: Manifest, configs: dict[str, str], n_problems: int, missing: list[str], license_: str
) -> str:
    """The text of ``README.md``, with the front matter that the hub and its `datasets` library read.

    Args:
        configs: generator -> the name of its configuration.
        missing: what is not in the folder, in sentences.
        license_: an id of a licence that the hub knows.
    """
    sections = [
        f"# {code(facts.name)}: responses, grades and scores\n\n{_summary(facts, n_problems)}",
        f"## Files\n\n{_files(facts, configs)}",
        *([f"## What is not here\n\n{''.join(f'- {code(line)}{chr(10)}' for line in missing)}"] if missing else []),
        f"## Columns of the responses\n\n{_columns(facts)}",
        f"## How it was made\n\n{_made(facts, manifest)}",
        f"## Reward models\n\n{_reward_models(facts, manifest)}",
        f"## Read it with BonBench\n\n{_read_back(facts, manifest, configs)}",
        f"## Read it without\n\n{_load(configs)}",
    ]
    return f"---\n{_front_matter(facts, configs, license_)}---\n\n" + "\n".join(sections)


def _front_matter(facts: ExportFacts, configs: dict[str, str], license_: str) -> str:
    files = {"problems": [PROBLEMS]} | {configs[name]: of.files for name, of in facts.generators.items()}
    return _yaml(
        {
            "license": license_,
            "pretty_name": facts.name,
            "tags": ["best-of-n", "reward-models", "bonbench"],
            "configs": [
                {
                    "config_name": name,
                    "data_files": [{"split": "test", "path": paths}],
                    **({"default": True} if number == 1 else {}),  # the first generator's
                }
                for number, (name, paths) in enumerate(files.items())
            ],
        }
    )


def _summary(facts: ExportFacts, n_problems: int) -> str:
    n = sum(of.responses for of in facts.generators.values())
    return (
        f"{n:,} responses to {n_problems:,} problems, {facts.n} to each by each generator, with their grades and the "
        f"scores of {len(facts.reward_models)} reward models. Written by `bonbench export`, BonBench "
        f"{version('bonbench')}.\n"
    )


def _files(facts: ExportFacts, configs: dict[str, str]) -> str:
    rows = [[code("problems"), code(PROBLEMS), "", ""]]
    for name, of in facts.generators.items():
        files = code(of.files[0]) + (f" … {code(of.files[-1])}" if len(of.files) > 1 else "")
        rows.append([code(configs[name]), files, code(name), f"{of.responses:,}"])
    return table(["configuration", "files", "generator", "responses"], rows)


def _columns(facts: ExportFacts) -> str:
    second = f", and the same of a second verifier after `{SECOND}`" if facts.second_verifier else ""
    return (
        "- `problem_id`, `generator`, `sample`: which response it is\n"
        "- `text`, `n_prompt_tokens`, `n_tokens`, `finish_reason`, `seed`, `token_ids`: what was sampled; `stop` is a "
        "response that the model ended itself, `length` one that was cut off; a null is not known\n"
        "- `extracted`, `correct`, `reason`, `answer_class`: the answer that the verifier found, its verdict and why, "
        f"and a number that equivalent answers of a problem share (-1: no answer){second}\n"
        "- `MODEL/score`: a reward model's score in its own aggregation; null: it gave none\n"
        "- `MODEL/step_rewards`, `MODEL/step_ends`: its rewards, and the offsets in `text` (in characters) at which "
        "the steps end; `step_rewards` is empty where it could give none, and null where it was not asked\n"
        "- `MODEL/n_tokens`: the tokens that it scored\n"
    )


def _made(facts: ExportFacts, manifest: Manifest) -> str:
    rows = [
        [code(name), code(named(of.type)), code(named(of.model or ""))]
        for name, of in manifest.generators.items()
        if name in facts.generators
    ]
    config = {part: shareable(of) for part in _MADE_BY if (of := manifest.config.get(part)) not in (None, {})}
    commits = {name: commit for name, commit in manifest.commits.items() if "/" in commit}
    said = [table(["generator", "type", "model"], rows)]
    said += [f"The experiment, without the places of files and servers:\n\n{block(_yaml(config), 'yaml')}"]
    if commits:
        said.append(table(["model", "commit"], [[code(named(k)), code(v)] for k, v in commits.items()]))
    versions = dict(manifest.versions) | ({"commit of BonBench": manifest.commit} if manifest.commit else {})
    said.append(f"Versions: {', '.join(f'{code(name)} {code(number)}' for name, number in versions.items())}.\n")
    if manifest.written_at:
        said.append(f"The run ended at {code(manifest.written_at)}.\n")
    return "\n".join(said)


def _reward_models(facts: ExportFacts, manifest: Manifest) -> str:
    rows = []
    for name, of in facts.reward_models.items():
        reasons = "; ".join(f"{n:,} {reason}" for reason, n in of.unscored.items())
        rows.append(
            [
                code(name),
                code(named(manifest.reward_models[name].type)),
                of.reward,
                of.score_type,
                of.aggregation,
                f"{of.coefficient:g}",
                code(reasons),
            ]
        )
    header = ["reward model", "type", "rewards", "scores", "aggregation", "coefficient", "responses without a score"]
    return table(header, rows) if rows else "None has scored these responses.\n"


def _read_back(facts: ExportFacts, manifest: Manifest, configs: dict[str, str]) -> str:
    evaluation = manifest.evaluation.model_dump(mode="json", exclude_none=True)
    if isinstance(rules := evaluation.get("selection"), dict):  # one in a file of its own is not here
        evaluation["selection"] = {name: rule for name, rule in rules.items() if ".py:" not in str(rule)}
    experiment: dict[str, Any] = {
        "name": facts.name,
        "seed": manifest.seed,
        **as_exported(".", facts),
        "evaluation": evaluation,
    }
    partial = [name for name, of in facts.reward_models.items() if not of.is_complete]
    notes = ""
    if partial:
        notes += f"Not compared there, as numbers are missing: {', '.join(map(code, partial))}. "
    if facts.unanswered:
        notes += "Problems that a generator has no responses to are left out. "
    return (
        "Everything as it was: the same responses, grades and scores, and so the same table of accuracies. In this "
        "folder, write the block to `again.yaml`, then `bonbench run again.yaml`.\n\n"
        f"{block(_yaml(experiment), 'yaml')}\n"
        f"{notes}{chr(10) * 2 if notes else ''}"
        "A reward model of your own is scored beside them: `bonbench run again.yaml --reward-model "
        "my_rm.py:MyRewardModel`. From another folder, `bonbench run replay --set responses=FOLDER --set "
        "output=results/theirs` stands for the same. To grade the responses again, add `--set verifier.type=math` to "
        "the second form, or write `verifier: {type: math}` in the block.\n\n"
        "From the hub, without a copy of the folder, problems and responses are read so (replace OWNER/NAME):\n\n"
        f"{block(_from_hub(facts, configs), 'yaml')}"
    )


def _from_hub(facts: ExportFacts, configs: dict[str, str]) -> str:
    """The entries for problems and responses of a data set of the hub. Its scores need the folder."""
    of = {"path": "OWNER/NAME"}
    problems = {name: {"dataset": "hub", **of, "config": "problems"} for name in facts.problem_sets[:1]}
    generators = {name: {"type": "hub", **of, "config": configs[name], "split": "test"} for name in facts.generators}
    return _yaml({"problems": problems, "generators": generators})


def _load(configs: dict[str, str]) -> str:
    first = next(iter(configs.values()), "problems")
    python = (
        "from datasets import load_dataset\n\n"
        'problems = load_dataset("OWNER/NAME", "problems", split="test")   # or the path of this folder\n'
        f'responses = load_dataset("OWNER/NAME", {first!r}, split="test")\n'
    )
    return block(python, "python")


def _yaml(content: Any) -> str:
    # Escaped: what is no plain letter may not be what it looks like.
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=False, default_flow_style=None, width=110)
