"""The run directory: whole files, refusals on resume, and which run is the last."""

import json
import os
import subprocess

import pytest

from td3sweep.config.run_place import unfinished
from td3sweep.errors import UserError
from td3sweep.files import write_atomically
from td3sweep.record import provenance
from td3sweep.record.provenance import software
from td3sweep.record.rundir import RunDirectory


def test_the_resolved_configuration_is_kept(tmp_path, settings):
    run = RunDirectory(tmp_path / "run")
    run.open(settings("hyperparams.gamma=.95"))
    assert "gamma: 0.95" in run.config.read_text()
    assert run.checkpoints.is_dir()


def test_a_resume_may_change_what_does_not_touch_training(tmp_path, settings):
    run = RunDirectory(tmp_path)
    run.open(settings())
    run.open(settings("steps=9000", "threads=1", "tracking=off", "monitor=stop", "save_every=7", "env.port=4000"))
    assert "steps: 9000" in run.config.read_text()


@pytest.mark.parametrize("override", ["hyperparams.gamma=.95", "cnn=pooled", "seed=1", "reward=race", "warmup=300"])
def test_any_other_change_is_refused_by_name(tmp_path, settings, override):
    run = RunDirectory(tmp_path)
    run.open(settings())
    (run.checkpoints / "step-000000000100.pt").touch()
    before = run.config.read_text()
    with pytest.raises(UserError) as refused:
        run.open(settings(override))
    assert override.partition("=")[0] in str(refused.value)
    assert run.config.read_text() == before


def test_a_refusal_says_with_what_the_run_was_begun(tmp_path, settings, monkeypatch):
    run = RunDirectory(tmp_path)
    run.open(settings("cnn=pooled"))
    (run.checkpoints / "step-000000000100.pt").touch()
    typed = ["python", "-m", "td3sweep", "cnn=pooled", "steps=1600", "hydra.run.dir=x", "+reward.terms.lane=2"]
    monkeypatch.setattr("sys.orig_argv", typed)
    run.write_provenance(0, "")
    with pytest.raises(UserError, match=r"repeat cnn=pooled \+reward\.terms\.lane=2, or start anew"):
        run.open(settings())


def test_a_setting_that_was_added_since_the_run_began_had_its_default(tmp_path, settings):
    run = RunDirectory(tmp_path / "run")
    run.open(settings())
    (run.checkpoints / "step-000000000001.pt").touch()
    run.config.write_text("".join(line for line in run.config.open() if "alpha:" not in line and "beta" not in line))
    run.open(settings())
    run.config.write_text("".join(line for line in run.config.open() if "alpha:" not in line))
    with pytest.raises(UserError, match=r"replay\.alpha"):
        run.open(settings("replay=per"))


def test_so_had_one_of_carla(tmp_path, settings):
    run = RunDirectory(tmp_path / "run")
    run.open(settings())
    (run.checkpoints / "step-000000000001.pt").touch()
    before_routes = run.config.read_text().replace("  routes: []\n", "")
    before_routes = before_routes.replace("  terminate:\n  - collision\n  - off_road\n  - stalled\n", "")
    assert "routes" not in before_routes
    assert "terminate" not in before_routes
    run.config.write_text(before_routes)
    run.open(settings())
    run.config.write_text(before_routes)
    with pytest.raises(UserError, match=r"env\.routes"):
        run.open(settings("env.routes=[[1,11]]"))


def test_a_run_that_was_refused_before_it_learnt_anything_binds_nobody(tmp_path, settings):
    run = RunDirectory(tmp_path)
    run.open(settings("env.server=launch", "env.path=/nowhere/CarlaUE4.sh"))
    run.open(settings())
    assert "server: standin" in run.config.read_text()


def test_a_finished_run_whose_checkpoints_were_deleted_keeps_its_results(tmp_path, settings):
    run = RunDirectory(tmp_path)
    run.open(settings("steps=2000"))
    run.write_summary({"finished": True, "env_steps": 2000})
    with pytest.raises(UserError, match=r"hyperparams\.gamma: .* was run with other values"):
        run.open(settings("steps=2000", "hyperparams.gamma=.95"))
    with pytest.raises(UserError, match=r"steps=2001: .* finished at step 2000, and the checkpoints .* are gone"):
        run.open(settings("steps=2001"))
    run.open(settings("steps=2000"))
    assert "gamma: 0.98" in run.config.read_text()


def test_provenance_keeps_every_sitting(tmp_path):
    run = RunDirectory(tmp_path)
    run.write_provenance(3, "stand-in")
    run.write_provenance(3, "stand-in")
    found = json.loads(run.provenance.read_text())
    assert len(found["sessions"]) == 2
    assert found["seed"] == 3
    assert found["versions"]["torch"]
    assert found["hardware"]["cores"] >= 1


def test_the_last_unfinished_run(tmp_path):
    for name, steps in (("2026-01-01", 50), ("2026-01-02", None), ("2026-01-03", 100)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.yaml").write_text("")
        if steps is not None:
            (folder / "summary.json").write_text(json.dumps({"env_steps": steps, "finished": steps > 60}))
    (tmp_path / "2026-01-09").mkdir()  # no run in it
    assert unfinished(tmp_path, 100).name == "2026-01-02"
    assert unfinished(tmp_path, 101).name == "2026-01-03"
    (tmp_path / "2026-01-02" / "config.yaml").unlink()
    assert unfinished(tmp_path, 50).name == "2026-01-01"  # all its steps taken, but stopped before its evaluation
    assert unfinished(tmp_path / "nowhere", 1) is None


def test_a_run_that_never_saved_does_not_stand_before_one_that_did(tmp_path):
    for name in ("2026-01-01", "2026-01-02", "2026-01-03"):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "config.yaml").touch()
    assert unfinished(tmp_path, 100).name == "2026-01-03"
    for name in ("2026-01-01", "2026-01-02"):
        (tmp_path / name / "checkpoints" / "step-000000000020.pt").touch()
    assert unfinished(tmp_path, 100).name == "2026-01-02"
    (tmp_path / "2026-01-02" / "summary.json").write_text(json.dumps({"env_steps": 100, "finished": True}))
    assert unfinished(tmp_path, 100).name == "2026-01-01"


def test_the_newest_is_the_one_begun_last_whatever_its_name(tmp_path):
    for age, name in ((300, "mine"), (100, "2026-01-02-2"), (50, "2026-01-02-10"), (200, "2026-01-03")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").touch()
        os.utime(tmp_path / name / "config.yaml", (10_000 - age, 10_000 - age))
    assert unfinished(tmp_path, 100).name == "2026-01-02-10"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "summary.json"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_code_is_changed_by_code_and_not_by_its_docs(tmp_path, monkeypatch):
    def git(*words):
        subprocess.run(["git", "-C", tmp_path, "-c", "user.name=n", "-c", "user.email=e", *words], check=True)

    (tmp_path / "td3sweep" / "record").mkdir(parents=True)
    (tmp_path / "td3sweep" / "record" / "provenance.py").touch()
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "td3sweep" / "record" / "provenance.py"))
    assert software()["dirty"] is False
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "rows.jsonl").touch()  # as a benchmark leaves it
    assert software()["dirty"] is False
    (tmp_path / "td3sweep" / "more.py").touch()
    assert software()["dirty"] is True
