"""What ``from td3sweep import`` offers: each name is there, nothing heavy is loaded before it is asked for."""

import subprocess
import sys

import pytest

import td3sweep
from td3sweep.doctor.audit import audit
from td3sweep.monitor.watch import Watch
from td3sweep.training.run import run


@pytest.mark.parametrize("name", td3sweep.__all__)
def test_every_name_is_there_and_says_what_it_is(name):
    assert getattr(td3sweep, name).__doc__


def test_the_names_are_the_things_themselves():
    assert (td3sweep.train, td3sweep.audit, td3sweep.Watch) == (run, audit, Watch)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'td3sweep' has no attribute 'Wach'"):
        _ = td3sweep.Wach


def test_nothing_is_loaded_before_it_is_asked_for():
    code = (
        "import sys, td3sweep; from td3sweep import Watch; "
        "print([m for m in ('torch', 'hydra', 'stable_baselines3') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


def test_the_former_place_of_the_hooks_still_has_them():
    with pytest.warns(DeprecationWarning, match="from td3sweep import Watch"):
        from td3sweep.hooks import Watch as Former
    assert Former is Watch
