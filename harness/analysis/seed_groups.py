"""Trainings that differ in their seed alone, as the experiment says with ``seeds:``: one method in the tables.

Which these are is a fact about a run, in its manifest. A sweep over ``seed`` is a sweep: its entries stay rows of their
own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from harness.storage.manifest import Manifest

#: The name of the mean over the seeds of a training -> seed -> the reward model that was trained with it.
SeedGroups = Mapping[str, Mapping[int, str]]


def seed_groups(manifest: Manifest, left_out: Collection[str] = ()) -> SeedGroups:
    """The methods of a run that were trained with several seeds, the reward model that has the method's name first.

    Reward models that are ``left_out`` are not among them, nor are methods of which only one training is left. No entry
    can have a method's name, which says how many seeds there are.
    """
    seeds: dict[str, dict[int, str]] = {}
    for name, facts in manifest.reward_models.items():
        if facts.seeds_of is not None and facts.train is not None and name not in left_out:
            seeds.setdefault(facts.seeds_of, {})[int(facts.train.get("seed") or 0)] = name
    return {f"{first} ({len(of)} seeds)": of for first, of in seeds.items() if len(of) > 1}


def repetitions(manifest: Manifest) -> frozenset[str]:
    """The reward models that are another one's training with another seed: all of its seeds but the first."""
    return frozenset(name for name, facts in manifest.reward_models.items() if facts.seeds_of not in (None, name))
