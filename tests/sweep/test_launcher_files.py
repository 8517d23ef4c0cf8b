"""conf/hydra/launcher: every file gives its engine what that asks for, and explains each value."""

import inspect
from pathlib import Path

import pytest
import yaml
from hydra.utils import get_class

from td3sweep.compose import config_directory

FILES = sorted((Path(config_directory()) / "hydra/launcher").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_keys_are_the_engines(path):
    values = yaml.safe_load(path.read_text())
    engine = get_class(values["_target_"])
    asked = set(inspect.signature(engine).parameters) - {"directory", "width"}
    assert {key for key in values if not key.startswith("_")} == asked


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_key_is_explained(path):
    lines = path.read_text().splitlines()
    bare = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if not line.startswith(("#", "_", " ")) and not before.startswith("# ")
    ]
    assert bare == []
