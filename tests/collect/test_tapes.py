"""Recordings on disk: what is written is read, and what cannot be shown is refused in one line."""

import dataclasses
import json

import numpy as np
import pytest
from tapes import record, tape

from td3sweep.collect.tapes import FILE, Tapes, check_recording
from td3sweep.config.compose import compose_settings
from td3sweep.errors import UserError
from td3sweep.evaluate.taping import driven_with


def refusal(call, *arguments):
    with pytest.raises(UserError) as refused:
        call(*arguments)
    line = str(refused.value)
    assert "\n" not in line
    assert line.startswith("demonstrations.path=")
    return line


def test_what_is_written_is_read(tmp_path):
    made = [tape([1, 2, 4], terminated=True), tape([5, 6], first=9, meant=[[0.5, 0], [0, 0.5]], unlearnt=[0, 3])]
    tapes = Tapes(record(tmp_path, made))
    assert tapes.steps == [3, 2]
    for number, one in enumerate(made):
        read = tapes.read(number)
        for field in dataclasses.fields(one):
            assert np.array_equal(getattr(read, field.name), getattr(one, field.name), equal_nan=field.name == "meant")
            if field.name not in ("terminated", "truncated"):
                assert getattr(read, field.name).dtype == getattr(one, field.name).dtype


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr("td3sweep.record.rundir.os.replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tape([1.0]).save(tmp_path / "0.npz")
    assert not list(tmp_path.iterdir())


def test_one_recording_is_told_from_another(tmp_path):
    one, same, other = (record(tmp_path / name, [tape(rewards)]) for name, rewards in zip("abc", ([1], [1], [1, 2])))  # noqa: B905
    assert Tapes(one).digest == Tapes(same).digest != Tapes(other).digest


def test_what_is_no_recording_is_refused(tmp_path):
    assert "nowhere: no such directory; give one" in refusal(Tapes, tmp_path / "nowhere")
    assert f"no recording, it has no {FILE}" in refusal(Tapes, tmp_path)
    (tmp_path / FILE).write_text('{"format": 1')
    assert "recording.json is damaged" in refusal(Tapes, tmp_path)
    (tmp_path / FILE).write_text('{"format": 1, "episodes": []}')
    assert "not of this version's format" in refusal(Tapes, tmp_path)


def test_an_episode_that_is_not_as_it_should_be_is_refused(tmp_path):
    tapes = Tapes(record(tmp_path, [tape([1, 2])]))
    whole = tape([1, 2])
    for change, told in [
        ({"frames": whole.frames[:2]}, "0.npz: frames is not as"),
        ({"frames": whole.frames.astype(float)}, "0.npz: it is not as"),
        ({"actions": np.full((2, 2), np.nan)}, "0.npz: actions is not as"),
        ({"vectors": whole.vectors[:, :1]}, "0.npz: vectors is not as"),
        ({"truncated": False}, "0.npz: it is not as"),
    ]:
        dataclasses.replace(whole, **change).save(tmp_path / "0.npz")
        assert told in refusal(tapes.read, 0)
    (tmp_path / "0.npz").write_bytes(b"PK")
    assert "0.npz is missing or damaged" in refusal(tapes.read, 0)
    (tmp_path / "0.npz").unlink()
    assert "0.npz is missing or damaged" in refusal(tapes.read, 0)


def test_other_sizes_are_refused(tmp_path):
    Tapes(record(tmp_path, [tape([1])])).check_sizes(2, 2)
    assert "its vector_size is 2, and this run's 78" in refusal(Tapes(tmp_path).check_sizes, 78, 2)
    assert "its action_size is 2, and this run's 3" in refusal(Tapes(tmp_path).check_sizes, 2, 3)
    record(tmp_path, [tape([1])], frame=[64, 64])
    assert "its frame is [64, 64], and this run's [84, 84]" in refusal(Tapes(tmp_path).check_sizes, 2, 2)


def test_too_few_steps_are_refused_with_their_number(tmp_path):
    record(tmp_path, [tape([0] * 70), tape([0] * 50)])
    asked = [f"demonstrations={tmp_path}", "warmup=150", "demonstrations.random_steps=30"]
    check_recording(compose_settings(asked))
    line = refusal(check_recording, compose_settings([*asked, "warmup=151"]))
    assert "it holds 120 steps, and warmup=151 less demonstrations.random_steps=30 needs 121" in line


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ([], None),
        (["reward.scale=.5", "frame_stack=2", "env.map=StandInRing", "env.traffic=5", "env.max_episode_steps=9"], None),
        (["hyperparams.gamma=.9"], None),  # without shaping rewards do not depend on it
        (["env.action_repeat=2"], "recorded with env.action_repeat=4 (this run: 2);"),
        (["env.steer_scale=1"], "recorded with env.steer_scale=0.4 (this run: 1.0);"),
        (["env.speed_scale=30"], "recorded with env.speed_scale=3.0 (this run: 30.0);"),
        (["env.vector=full"], 'recorded with env.vector="speed" (this run: "full");'),
        (["env.dark=[40,10]"], "recorded with env.dark=[] (this run: [40.0, 10.0]);"),
        (["env.camera.pitch=-5"], "recorded with env.camera.pitch=0.0 (this run: -5.0);"),
        (["env.terminate=[collision]"], "recorded with env.terminate="),
        (["reward.terms.lane=2"], "recorded with reward.terms.lane=1.0 (this run: 2.0);"),
        (["+reward.terms.safety=1"], "recorded with reward.terms.safety=0.0 (this run: 1.0);"),
        (["reward.terms.lane=0"], "recorded with reward.terms.lane=1.0 (this run: 0.0);"),
        (["env=gym"], 'recorded with env.name="carla" (this run: "gym");'),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_another_task_is_refused_by_name(tmp_path, overrides, told):
    record(tmp_path, [tape([0] * 1350)], settings=json.loads(json.dumps(driven_with(compose_settings([])))))
    asked = compose_settings([f"demonstrations={tmp_path}", *overrides])
    if told is None:
        check_recording(asked)
    else:
        assert told in refusal(check_recording, asked)


def test_shaped_rewards_depend_on_the_discount(tmp_path):
    shaped = ["+reward.terms.centre=1"]
    record(tmp_path, [tape([0] * 1350)], settings=driven_with(compose_settings(shaped)))
    asked = [f"demonstrations={tmp_path}", *shaped]
    check_recording(compose_settings(asked))
    line = refusal(check_recording, compose_settings([*asked, "hyperparams.gamma=.9"]))
    assert "recorded with hyperparams.gamma=0.98 (this run: 0.9);" in line
