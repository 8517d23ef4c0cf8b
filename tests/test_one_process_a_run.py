"""Two processes never share a run directory."""

import json

import pytest
from command import TOY
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from toy_env import DotEnv

from td3sweep.config.compose import register
from td3sweep.config.presets import config_directory
from td3sweep.config.run_place import unfinished
from td3sweep.errors import DirectoryInUseError, UserError
from td3sweep.process.lock import alone_in, in_use
from td3sweep.training import run as run_module
from td3sweep.training.run import run


def directory(*overrides):
    """Where the command line would put a run."""
    register()
    with initialize_config_dir(config_directory(), version_base="1.3"):
        config = compose("config", overrides=list(overrides), return_hydra_config=True)
        found = OmegaConf.select(config, "hydra.run.dir")
        assert OmegaConf.select(config, "hydra.run.dir") == found  # asked twice, it stays
    return found


def test_a_run_has_its_directory_to_itself_until_it_ends(tmp_path, settings, monkeypatch):
    asked = settings(*TOY)
    refused = []

    class Second(DotEnv):
        def step(self, action):
            if self.total_steps == 5:
                with pytest.raises(DirectoryInUseError, match=str(tmp_path)) as error:
                    run(asked, tmp_path)
                refused.append(error.value.exit_code)
            return super().step(action)

    monkeypatch.setattr(run_module, "build_env", lambda *_: Second())
    outcome = run(asked, tmp_path)
    assert refused == [2]
    assert (outcome.exit_code, outcome.summary["env_steps"]) == (0, 20)
    assert not in_use(tmp_path)
    assert run(asked, tmp_path).summary["env_steps"] == 20  # the same process may go on in it


def test_to_look_at_a_finished_run_changes_no_file(tmp_path, settings, monkeypatch):
    monkeypatch.setattr(run_module, "build_env", lambda *_: DotEnv())
    run(settings(*TOY), tmp_path)
    before = (tmp_path / "config.yaml").read_text()
    assert run(settings(*TOY, "steps=15", "save_every=7"), tmp_path).summary["env_steps"] == 20
    assert (tmp_path / "config.yaml").read_text() == before


def test_a_run_that_was_refused_or_fails_lets_its_directory_go(tmp_path, settings, monkeypatch):
    def dead(*_):
        raise OSError("no environment")

    monkeypatch.setattr(run_module, "build_env", dead)
    with pytest.raises(OSError, match="no environment"):
        run(settings(*TOY), tmp_path)
    assert not in_use(tmp_path)


def test_a_run_that_was_refused_before_it_began_is_not_gone_on_with(tmp_path, settings, monkeypatch):
    def refuse(*_):
        raise UserError("env.map=Nowhere: no such map")

    monkeypatch.setattr(run_module, "build_env", refuse)
    for name, kept in (("new", set()), ("used", {"notes.txt"})):
        folder = tmp_path / name
        folder.mkdir()
        for file in kept:
            (folder / file).touch()
        with pytest.raises(UserError):
            run(settings(*TOY), folder)
        assert kept <= {file.name for file in folder.iterdir()}  # what others put there stays
    assert [file.name for file in (tmp_path / "new").iterdir()] == [".lock"]
    assert unfinished(tmp_path, 1000) == tmp_path / "used"


def test_runs_started_in_the_same_second_get_directories_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stamp = directory("name=mine").rpartition("/")[2]
    line = f"hydra.run.dir=${{td3sweep.run_dir:runs/mine,{stamp},null,100}}"
    assert [directory(line) for _ in range(2)] == [f"runs/mine/{stamp}-2", f"runs/mine/{stamp}-3"]
    assert directory("hydra.run.dir=runs/mine/given") == "runs/mine/given"
    assert not (tmp_path / "runs" / "mine" / "given").exists()


def test_where_no_directory_can_be_made_the_run_itself_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").touch()
    assert directory("name=mine").startswith("runs/mine/")


def test_resume_last_leaves_a_run_alone_that_is_still_running(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("2026-01-01", "2026-01-02"):
        run = tmp_path / "runs" / "mine" / name
        run.mkdir(parents=True)
        (run / "config.yaml").touch()
        (run / "summary.json").write_text(json.dumps({"env_steps": 50, "finished": False}))
    with alone_in(tmp_path / "runs" / "mine" / "2026-01-02"):
        assert directory("name=mine", "resume=last") == "runs/mine/2026-01-01"
        with alone_in(tmp_path / "runs" / "mine" / "2026-01-01"):
            assert directory("name=mine", "resume=last") not in {"runs/mine/2026-01-01", "runs/mine/2026-01-02"}
    assert directory("name=mine", "resume=last") == "runs/mine/2026-01-02"
