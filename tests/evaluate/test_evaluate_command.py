"""`python -m td3sweep.evaluate`: a real checkpoint end to end, the baselines, and every refusal in one line."""

import json
import re
from types import SimpleNamespace

import imageio.v2 as imageio
import pytest
import torch
from command import QUICK
from PIL import Image

from td3sweep.evaluate import FIRST_SEED
from td3sweep.evaluate.__main__ import main
from td3sweep.evaluate.driving_test import run_protocol
from td3sweep.training.checkpoint import read_checkpoint
from td3sweep.training.run import run

SHORT = ["env.route_min=40", "env.route_max=50", "threads=1"]


def evaluate(*arguments):
    """Exit code 0 is silent."""
    main([*map(str, arguments)])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A tiny run with memory, trained for real on the stand-in."""
    from td3sweep.config.compose import compose_settings

    directory = tmp_path_factory.mktemp("run")
    assert (
        run(compose_settings([*QUICK, "recurrent=gru48", "hyperparams.batch_size=4", *SHORT]), directory).exit_code == 0
    )
    return directory


@pytest.mark.slow
def test_a_checkpoint_is_measured_filmed_and_drawn(trained, capsys):
    evaluate(trained, "--episodes", "2")
    out = trained / "evaluation" / "step-000000000120"
    result = json.loads((out / "evaluation.json").read_text())
    shown = capsys.readouterr().out
    assert "stand-in server, not CARLA" in shown
    assert "driving score, as leaderboard 2.0" in shown
    assert (result["standin"], "not CARLA" in result["simulator"]) == (True, True)
    assert (result["policy"], result["env_step"]) == ("checkpoint", 120)
    assert [episode["seed"] for episode in result["episodes"]] == [FIRST_SEED, FIRST_SEED + 1]
    assert len(result["made"]["versions"]["torch"]) > 3
    for number, episode in enumerate(result["episodes"]):
        assert 0.0 <= episode["route_completion"] <= 1.0
        assert episode["km"] > 0.0
        with imageio.get_reader(out / f"video-{number:02}.mp4") as reader:
            assert reader.count_frames() == episode["length"] + 1  # the start, and every step
            assert reader.get_meta_data()["fps"] == 5.0  # 20 ticks per second, 4 a step
        Image.open(out / f"route-{number:02}.png").verify()


@pytest.mark.slow
def test_the_weights_of_the_best_evaluation_drive(trained, tmp_path):
    best = trained / "checkpoints" / "best.pt"
    evaluate(best, "--no-video", "--episodes", 1, "--out", tmp_path)
    result = json.loads((tmp_path / "evaluation.json").read_text())
    assert (result["checkpoint"], result["env_step"]) == (str(best), read_checkpoint(best)["env_step"])


@pytest.mark.slow
def test_overrides_apply_and_the_same_seeds_give_the_same_numbers(trained, tmp_path, capsys):
    for name in ("one", "two"):
        evaluate(
            trained / "checkpoints" / "step-000000000120.pt", "env.map=StandInRing", "--no-video", "--json",
            "--episodes", 2, "--out", tmp_path / name,
        )  # fmt: skip
        printed = json.loads(capsys.readouterr().out)
        assert printed == json.loads((tmp_path / name / "evaluation.json").read_text())
        assert printed["settings"]["env"]["map"] == "StandInRing"
        assert not list((tmp_path / name).glob("*.mp4"))
    one, two = (json.loads((tmp_path / name / "evaluation.json").read_text())["episodes"] for name in ("one", "two"))
    assert one == two


@pytest.mark.slow
def test_a_run_is_explained(trained, tmp_path, capsys):
    pytest.importorskip("captum")
    evaluate(trained, "--episodes", 1, "--no-video", "--explain", "--out", tmp_path)
    result = json.loads((tmp_path / "evaluation.json").read_text())
    assert 0.0 < result["explain"]["memory_head_s"] < result["explain"]["image_s"]
    assert "explaining a moment takes" in capsys.readouterr().out
    Image.open(tmp_path / "explain.png").verify()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "end"), [("pid", "route_done"), ("autopilot", "route_done"), ("constant", "off_road"), ("random", None)]
)
def test_baselines(policy, end, tmp_path):
    evaluate("--policy", policy, "experiment=drive", "threads=1", "--episodes", 1, "--out", tmp_path)
    result = json.loads((tmp_path / "evaluation.json").read_text())
    (episode,) = result["episodes"]
    assert (result["policy"], result["checkpoint"]) == (policy, None)
    assert end is None or episode["end"] == end
    assert episode["success"] == (end == "route_done")
    if end == "route_done":
        assert episode["driving_score/leaderboard_2.0"] > 95.0
        assert 7.0 < episode["speed"] < 9.0


@pytest.mark.slow
def test_a_collision_is_counted_by_kind(tmp_path):
    """The others drive at 12 to 24 km/h, this one at 30, and it does not see them."""
    evaluate("--policy", "pid", "experiment=drive", "env.traffic=20", "env.map=StandInRing", "threads=1",
             "--episodes", 2, "--out", tmp_path, "--no-video")  # fmt: skip
    result = json.loads((tmp_path / "evaluation.json").read_text())
    hits = [episode for episode in result["episodes"] if episode["end"] == "collision"]
    assert hits
    assert all(episode["collided_with"] == ["vehicle"] for episode in hits)
    assert result["totals"]["collisions_per_km"]["value"] == pytest.approx(
        len(hits) / sum(episode["km"] for episode in result["episodes"])
    )


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_info:
        evaluate(*arguments)
    captured = capsys.readouterr()
    assert exit_info.value.code == 2
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.fixture
def run_directory(tmp_path, settings):
    """A run's config.yaml beside a checkpoint that belongs to something else."""
    import dataclasses

    from omegaconf import OmegaConf

    run_path = tmp_path / "run"
    (run_path / "checkpoints").mkdir(parents=True)
    (run_path / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(dataclasses.asdict(settings()))))
    return run_path


@pytest.fixture
def written(monkeypatch, tmp_path):
    """Run the command with nothing driven; returns the directory it would have written, below this test's own."""
    monkeypatch.chdir(tmp_path)
    agent = SimpleNamespace(initial_state=lambda: None)
    monkeypatch.setattr("td3sweep.evaluate.saved.load_agent", lambda settings, checkpoint: (agent, 120))
    found = []
    monkeypatch.setattr(
        "td3sweep.evaluate.driving_test.run_protocol", lambda _, __, out, **more: found.append(out) or {}
    )

    def run(*arguments):
        evaluate("--json", *arguments)
        return str(found[-1].absolute().relative_to(tmp_path))

    return run


def test_overrides_are_part_of_the_directorys_name(run_directory, written):
    best = run_directory / "checkpoints" / "best.pt"
    best.touch()
    ring = ["env.map=StandInRing", "env.traffic=20"]
    assert written(best) == "run/evaluation/step-000000000120"
    assert written(best, *ring) == "run/evaluation/step-000000000120-env.map=StandInRing,env.traffic=20"
    assert written("--policy", "pid", run_directory) == "run/evaluation/pid"
    assert written("--policy", "pid", run_directory, ring[0]) == "run/evaluation/pid-env.map=StandInRing"
    assert written("--policy", "random") == "runs/evaluation/random"
    assert written("--policy", "random", ring[0]) == "runs/evaluation/random-env.map=StandInRing"
    assert written("--policy", "random", ring[0], "--out", "here") == "here"


def test_a_name_that_would_be_long_or_unsafe_ends_in_a_hash_that_tells_it_apart(run_directory, written):
    driven = [["env.routes=[[1,2]]"], ["env.routes=[[1,3]]"], ["env.map=StandInRing", *["env.traffic=20"] * 20]]
    names = [written("--policy", "pid", run_directory, *overrides) for overrides in driven]
    assert re.fullmatch(r"run/evaluation/pid-env\.routes=__1,2__-[0-9a-f]{8}", names[0])
    assert names[0] != names[1]
    assert re.fullmatch(r"run/evaluation/pid-env\.map=StandInRing,.{40}-[0-9a-f]{8}", names[2])


def test_an_interrupted_evaluation_leaves_no_older_result_beside_its_pictures(settings, monkeypatch, tmp_path):
    class Interrupted:
        def reset(self, **_):
            raise KeyboardInterrupt

        def close(self):
            pass

    monkeypatch.setattr("td3sweep.evaluate.driving_test.build_env", lambda *_, **__: Interrupted())
    for name in ("evaluation.json", "explain.png", "video-00.mp4", "route-00.png", "notes.txt"):
        (tmp_path / name).touch()
    with pytest.raises(KeyboardInterrupt):
        run_protocol(settings(), None, tmp_path, episodes=1, video=False, about={})
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a run directory or a checkpoint"),
        (["nowhere/step-1.pt"], "nowhere/step-1.pt: no such file or directory"),
        (["--policy", "pdi"], "'pdi'"),
        (["--episodes", "0", "x"], "'0' is not a number of episodes"),
        (["--frames", "x"], "--frames"),
        (["--policy", "pid", "env.map=Nowhere"], "env.map=Nowhere"),
        (["--policy", "pid", "env=gym"], "--policy pid"),
        (["--policy", "autopilot", "env=gym"], "--policy autopilot with env=gym"),
        (["--policy", "random", "--explain"], "--explain"),
        (["--policy", "random", "env.trafic=1"], "did you mean env.traffic?"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_in_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, *arguments)


def test_a_run_without_a_checkpoint_is_refused(run_directory, capsys):
    assert "no checkpoints/step-*.pt yet" in refused(capsys, run_directory)


def test_another_architecture_is_refused(run_directory, capsys):
    (run_directory / "checkpoints" / "step-000000000001.pt").touch()
    assert "cnn.name=pooled: the checkpoint was trained with nature" in refused(capsys, run_directory, "cnn=pooled")


def test_foreign_and_damaged_checkpoints_are_refused(run_directory, capsys):
    path = run_directory / "checkpoints" / "step-000000000001.pt"
    path.write_bytes(b"not a checkpoint")
    assert "truncated or not a checkpoint" in refused(capsys, path)
    torch.save({"weights": torch.zeros(3)}, path)
    assert "not of this version's format" in refused(capsys, path)
    torch.save({"format": 1, "env_step": 1, "agent": {}}, path)
    assert "checkpoint=actor is missing" in refused(capsys, path)
    torch.save({"format": 1, "env_step": 1}, path)
    assert "'agent' is missing" in refused(capsys, path)
    stray = run_directory.parent / "stray.pt"
    torch.save({}, stray)
    assert "config.yaml is missing" in refused(capsys, stray)
