"""`--record`: what an evaluation drives is kept, and a training is shown it."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from command import QUICK
from toy_env import DotEnv

from td3sweep.collect.drivers import Constant
from td3sweep.collect.evaluation import RECORD_SEED, RUN_SEED
from td3sweep.collect.tapes import Tapes, check_recording
from td3sweep.config.compose import compose_settings
from td3sweep.errors import SimulatorError, UserError
from td3sweep.evaluate import FIRST_SEED
from td3sweep.evaluate.__main__ import main
from td3sweep.evaluate.driving_test import run_protocol
from td3sweep.evaluate.taping import Shelf, Taping
from td3sweep.training.run import run


def test_a_tape_holds_every_frame_once_and_every_step():
    taped, plain = DotEnv(length=5), DotEnv(length=5)
    env = Taping(taped)
    env.reset(seed=8)
    env.step(np.ones(2))  # an episode that nobody asks for
    seen, rewards = [env.reset(seed=7)[0], plain.reset(seed=7)[0]][1:], []
    for step in range(5):
        action = np.array([0.1 * step, -0.1])
        env.step(action)
        observation, reward, *ended, _ = plain.step(action)
        seen.append(observation)
        rewards.append(reward)
    tape = env.tape()
    assert ended == [tape.terminated, tape.truncated] == [False, True]
    assert tape.frames.dtype == np.uint8
    assert np.array_equal(tape.frames, [each["image"][-1] for each in seen])
    assert np.array_equal(tape.vectors, [each["vector"] for each in seen])
    assert np.array_equal(tape.actions, np.float32([[0.1 * step, -0.1] for step in range(5)]))
    assert tape.rewards.tolist() == rewards
    assert tape.unlearnt.tolist() == [0.0] * 5
    assert np.isnan(tape.meant).all()
    assert taped.total_steps == 6


def test_what_a_learner_leaves_out_is_kept_beside_the_reward():
    env = DotEnv(length=2)
    step = env.step
    env.step = lambda action: (*step(action)[:4], {"unlearnt": 2.5})
    taping = Taping(env)
    taping.reset(seed=1)
    taping.step(np.zeros(2))
    assert taping.tape().unlearnt.tolist() == [2.5]


def protocol(monkeypatch, tmp_path, settings, env, **more):
    monkeypatch.setattr("td3sweep.evaluate.driving_test.build_env", lambda *_, **__: env)
    env.metadata = {}
    return run_protocol(
        settings, Constant((0.2, 0.0)), tmp_path / "out", video=False,
        about={"policy": "constant", "checkpoint": None, "env_step": None}, **more,
    )  # fmt: skip


def test_every_episode_is_kept_once_and_on_seeds_of_its_own(settings, monkeypatch, tmp_path):
    """A simulator's fault in the third costs nothing; what is recorded is neither tested on nor chosen by."""
    env = DotEnv(length=6, fail_at={15})
    told = []
    result = protocol(
        monkeypatch, tmp_path, settings("env=gym"), env, episodes=3, record=tmp_path / "demos", tell=told.append
    )
    tapes = Tapes(tmp_path / "demos")
    assert result["faults"] == 1
    assert env.resets == [RECORD_SEED, RECORD_SEED + 1, RECORD_SEED + 2, RECORD_SEED + 2]
    assert FIRST_SEED + 10_000 < RECORD_SEED < RECORD_SEED + 10_000 < RUN_SEED
    assert [each["seed"] for each in tapes.about["episodes"]] == [RECORD_SEED + number for number in range(3)]
    assert [each["return"] for each in tapes.about["episodes"]] == [each["return"] for each in result["episodes"]]
    assert [float(tapes.read(number).rewards.sum()) for number in range(3)] == pytest.approx(
        [each["return"] for each in result["episodes"]]
    )
    assert tapes.about["driver"]["policy"] == "constant"
    assert tapes.about["simulator"] == "env=gym id=CarRacing-v3"
    assert told[-1] == f"recorded: {tmp_path}/demos, 3 episodes of {sum(tapes.steps)} steps in all"
    assert f"3 episodes of {sum(tapes.steps)} steps in {tmp_path}/demos, driven by constant on env=gym" in tapes.line


def test_what_an_interrupted_recording_names_is_whole(settings, monkeypatch, tmp_path):
    env = DotEnv(length=6, fail_at={7, 8, 9})
    with pytest.raises(SimulatorError):
        protocol(monkeypatch, tmp_path, settings("env=gym"), env, episodes=3, record=tmp_path / "demos")
    tapes = Tapes(tmp_path / "demos")
    assert len(tapes.steps) == 1
    assert tapes.read(0).steps == 6


def test_without_record_nothing_changes(settings, monkeypatch, tmp_path):
    env = DotEnv(length=6)
    protocol(monkeypatch, tmp_path, settings("env=gym"), env, episodes=1)
    assert env.resets == [FIRST_SEED]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_place_that_is_taken_is_refused(settings, tmp_path):
    (tmp_path / "empty").mkdir()
    Shelf(tmp_path / "empty", settings(), {})
    (tmp_path / "file").touch()
    (tmp_path / "demos").mkdir()
    (tmp_path / "demos" / "recording.json").touch()
    for place, told in ((tmp_path, "something else"), (tmp_path / "file", "something else"),
                        (tmp_path / "demos", "a recording")):  # fmt: skip
        with pytest.raises(
            UserError, match=f"^--record={re.escape(str(place))}: {told} is there already; give a new or empty dir"
        ):
            Shelf(place, settings(), {})


def test_the_command_refuses_in_one_line_and_starts_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("td3sweep.evaluate.driving_test.build_env", lambda *_, **__: pytest.fail("started"))
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SystemExit) as exit_info:
        main(["--policy", "pid", "--record", "."])
    captured = capsys.readouterr()
    assert exit_info.value.code == 2
    assert captured.err == "td3sweep: --record=.: something else is there already; give a new or empty directory\n"
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_recorded_evaluation_has_a_place_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("td3sweep.evaluate.saved.load_agent", lambda *_: (SimpleNamespace(initial_state=None), 120))
    found = []
    monkeypatch.setattr(
        "td3sweep.evaluate.driving_test.run_protocol",
        lambda _, __, out, **more: found.append((str(out), more["record"])) or {},
    )
    main(["--json", "--policy", "pid", "--record", "demos", "env.map=StandInRing"])
    ((out, record),) = found
    assert (out, record.name) == ("runs/evaluation/pid-recorded-env.map=StandInRing", "demos")


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["none", "gru48"])
def test_a_pid_drive_is_recorded_and_trained_from(tmp_path, memory):
    short = ["env.route_min=40", "env.route_max=50", "threads=1"]
    demos = tmp_path / "demos"
    main(
        [
            "--policy",
            "pid",
            "--no-video",
            "--episodes",
            "2",
            "--record",
            str(demos),
            "--out",
            str(tmp_path / "out"),
            *short,
        ]
    )
    driven = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert all(episode["success"] for episode in driven["episodes"])
    asked = [*QUICK, *short, "steps=90", "warmup=70", f"recurrent={memory}", f"demonstrations={demos}",
             "demonstrations.random_steps=15", "critic_only_updates=5"]  # fmt: skip
    settings = compose_settings(asked)
    check_recording(settings)
    assert run(settings, tmp_path / "run").exit_code == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "episodes.jsonl").open()]
    shown = [(row["seed"], row["return"], row["length"]) for row in rows if row["phase"] == "demonstrations"]
    first = driven["episodes"][0]
    assert shown[0] == (RECORD_SEED, pytest.approx(first["return"]), first["length"])
    assert sum(length for _, _, length in shown) == 55
    said = (tmp_path / "run" / "console.log").read_text()
    assert "driven by pid on env=carla (stand-in server, not CARLA)" in " ".join(said.split())
