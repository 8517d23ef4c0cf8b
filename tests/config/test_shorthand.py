"""``demonstrations=PATH`` is written out for every command line, and nothing else is touched."""

import dataclasses
import shlex

import pytest
from command import QUICK, command
from hydra import compose, initialize_config_dir
from tapes import record, tape

from td3sweep.config.compose import compose_settings, override_saved, register
from td3sweep.config.presets import config_directory
from td3sweep.config.shorthand import written_out
from td3sweep.errors import UserError
from td3sweep.sweep.sweeper import describe


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("demonstrations=/demos/a", ["demonstrations=recorded", "demonstrations.path=/demos/a"]),
        ("demonstrations=./a", ["demonstrations=recorded", "demonstrations.path={here}/a"]),
        ("demonstrations=there", ["demonstrations=recorded", "demonstrations.path={here}/there"]),
        ("demonstrations='there'", ["demonstrations=recorded", "demonstrations.path={here}/there"]),
        ("demonstrations='/a b,c'", ["demonstrations=recorded", "demonstrations.path='/a b,c'"]),
        ('demonstrations="/it\'s"', ["demonstrations=recorded", "demonstrations.path='/it\\'s'"]),
        ("demonstrations=pid", ["demonstrations=pid"]),  # a directory has this name as well
        ("demonstrations=recorded", ["demonstrations=recorded"]),
        ("demonstrations=nowhere", ["demonstrations=nowhere"]),
        ("demonstrations=none,/demos/a", ["demonstrations=none,/demos/a"]),  # each is written out when it is composed
        ("demonstrations=choice(none,/demos/a)", ["demonstrations=choice(none,/demos/a)"]),
        ("demonstrations=", ["demonstrations="]),
        ("demonstrations.path=./a", ["demonstrations.path=./a"]),
        ("hydra.run.dir=/there/demonstrations=x", ["hydra.run.dir=/there/demonstrations=x"]),
        ("+demonstrations=/demos/a", ["+demonstrations=/demos/a"]),
    ],
)
def test_a_path_is_written_out(word, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("there", "pid", "recorded"):
        (tmp_path / name).mkdir()
    expected = [each.format(here=tmp_path) for each in expected]
    assert written_out([word]) == expected
    assert written_out(expected) == expected  # again changes nothing


@pytest.mark.parametrize("name", ["demos", "my demos, 2 (good)", "it's"])
def test_hydra_reads_what_is_written(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    shown = compose_settings([f'demonstrations="{tmp_path}/{name}"']).demonstrations
    assert (shown.name, shown.path) == ("recorded", str(tmp_path / name))


def test_it_goes_with_gymnasium_and_with_saved_settings(tmp_path):
    assert compose_settings(["env=gym", f"demonstrations={tmp_path}"]).demonstrations.path == str(tmp_path)
    saved = dataclasses.asdict(compose_settings([]))
    assert override_saved(saved, [f"demonstrations={tmp_path}"]).demonstrations.path == str(tmp_path)
    gone = dataclasses.asdict(compose_settings([f"demonstrations={tmp_path}/gone"]))
    assert override_saved(gone, []).demonstrations.path == f"{tmp_path}/gone"  # what evaluates needs no recording


def described(*words):
    register()
    with initialize_config_dir(config_directory(), version_base="1.3"):
        plain = [word for word in words if "," not in word]
        return describe(compose("config", overrides=plain), words)


def test_a_sweep_shares_or_compares_recordings(tmp_path):
    demos = record(tmp_path / "demos", [tape([0] * 1350)])
    _, spec, _ = described(f"demonstrations={demos}", "n_step=1,3")
    assert spec.fixed["demonstrations.path"] == str(demos)
    _, spec, space = described(f"demonstrations=none,{demos}")
    found = [compose_settings([*spec.base, *space.overrides(point)]).demonstrations for point in space.points()]
    assert [(each.name, getattr(each, "path", None)) for each in found] == [("none", None), ("recorded", str(demos))]


def test_a_sweep_refuses_a_recording_that_is_not_there_before_it_begins(tmp_path):
    with pytest.raises(UserError, match=r"no such directory; give one .*\(at demonstrations="):
        described(f"demonstrations=none,{tmp_path}/nowhere")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("demonstrations=here/none", "demonstrations.path={here}/here/none: no such directory; give one that"),
        ("demonstrations=runs", "demonstrations.path={here}/runs: no recording, it has no recording.json; give one"),
        (
            "demonstrations=demo",
            "demonstrations=demo: no such option; choose demonstrations= one of autopilot, none, pid, recorded",
        ),
        ("--multirun n_step=1,3 demonstrations=runs", "demonstrations.path={here}/runs: no recording"),
    ],
)
def test_the_command_refuses_in_one_line(words, told, tmp_path):
    (tmp_path / "runs").mkdir()
    shown = ["demonstrations.random_steps=10", *(word for word in QUICK if word != "demonstrations=none")]
    code, _, err = command(*shlex.split(words), *shown, "hydra.run.dir=new", "hydra.sweep.dir=new", cwd=tmp_path)
    assert code == 2
    (line,) = [line for line in err.splitlines() if line.startswith("td3sweep: ")]
    assert told.format(here=tmp_path) in line
    assert "Traceback" not in err
    assert not (tmp_path / "new").exists()
