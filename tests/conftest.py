"""What every test may use."""

import dataclasses
import faulthandler
import os

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests run side by side, one core each

import pytest
from hydra import compose, initialize_config_dir

from td3sweep.config.compose import register, to_settings
from td3sweep.config.presets import config_directory


@pytest.fixture
def settings():
    """Compose settings from overrides, as the command line does."""

    def build(*overrides):
        register()
        with initialize_config_dir(config_directory(), version_base="1.3"):
            return to_settings(compose("config", overrides=list(overrides)))

    return build


@pytest.fixture
def changed():
    """A copy of frozen settings with some values replaced, nested ones by dotted key."""

    def change(settings, **values):
        for key, value in values.items():
            head, _, rest = key.partition("__")
            new = change(getattr(settings, head), **{rest: value}) if rest else value
            settings = dataclasses.replace(settings, **{head: new})
        return settings

    return change


STDERR = pytest.StashKey[int]()
GRACE_S = 30.0


def pytest_configure(config):
    config.stash[STDERR] = os.dup(2)  # the real one: within a test the second descriptor is captured


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """End a worker that hangs with Python's lock held, as the CARLA client library makes one now and then.

    pytest-timeout's thread waits for that lock for ever. faulthandler's needs none, and tells where it hung.
    """
    if not hasattr(item.config, "workerinput"):  # in the one process of `-n 0` somebody may be debugging
        return (yield)
    marker = item.get_closest_marker("timeout")
    limit = float(marker.args[0] if marker else item.config.getini("timeout"))
    faulthandler.dump_traceback_later(limit + GRACE_S, exit=True, file=item.config.stash[STDERR])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def pytest_collection_modifyitems(items):
    """Slow tests get a longer limit: they may share their cores with others."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(900))
