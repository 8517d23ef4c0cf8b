"""A sweep of nothing much, for tests of the budget and of the controller."""

import dataclasses
import json

from td3sweep.config.settings import SweepSettings
from td3sweep.sweep.space import parse_space
from td3sweep.sweep.spec import Spec
from td3sweep.sweep.study import Ledger
from td3sweep.sweep.trial import Ending

SPACE, _ = parse_space({}, ["x=interval(0,1)"])


def make_spec(task="sweeps:quick", **search):
    numbers = {"steps": 10, "warmup": 0, "eval_every": 5}
    return Spec("toy", "none", SPACE.words, [], [0], numbers, SweepSettings(**search), task=task)


def make_ledger(directory, **search):
    directory.mkdir(exist_ok=True)
    spec = make_spec(**search)
    spec.save(directory)
    return Ledger(spec, directory, SPACE)


def reopened(ledger, **search):
    """The same sweep as a later process sees it, with other search settings."""
    spec = dataclasses.replace(ledger.spec, search=dataclasses.replace(ledger.spec.search, **search))
    return Ledger(spec, ledger.directory, SPACE)


def quick(work):
    """Worth x; leaves a file that tells who worked on it."""
    x = float(work.overrides[0].partition("=")[2])
    work.directory.mkdir(exist_ok=True)
    with (work.directory / "attempts.jsonl").open("a") as file:
        file.write(json.dumps({"x": x, "slot": work.slot}) + "\n")
    return Ending([x], verdict="healthy")
