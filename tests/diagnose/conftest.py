"""The command within the test's own process, and two real runs to be read by several tests."""

import sys

import pytest
from cleanrl_style import GAMMA, train

from td3sweep.diagnose.__main__ import main
from td3sweep.monitor.watch import Watch


@pytest.fixture(scope="session")
def sound(tmp_path_factory):
    """A CleanRL-style run: the folder of its event file, and what the hook in its loop saw."""
    path, watch = tmp_path_factory.mktemp("sound") / "Pendulum-v1__td3__1__1700000000", Watch(gamma=GAMMA, warmup=250)
    train(path, steps=900, learning_starts=250, log_every=20, watch=watch)
    return path, watch


@pytest.fixture(scope="session")
def slipped(tmp_path_factory):
    """The same whose target bootstraps from twice the Q: it diverges."""
    path, watch = tmp_path_factory.mktemp("slipped") / "run", Watch(gamma=GAMMA, warmup=250)
    train(path, steps=1100, learning_starts=250, log_every=20, slip=2.0, watch=watch)
    return path, watch


@pytest.fixture
def diagnose(monkeypatch, capsys):
    """Run the command; returns exit code, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["diagnose", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "90")
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def refused(diagnose):
    """Run the command; returns the one line with which it refuses."""

    def run(*arguments):
        code, out, err = diagnose(*arguments)
        assert (code, out) == (2, ""), err
        assert err.startswith("td3sweep: ")
        assert err.count("\n") == 1, err
        return err

    return run


@pytest.fixture
def without(monkeypatch):
    """Make a package look as if it were not installed."""

    def remove(package):
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, package, None)

    return remove
