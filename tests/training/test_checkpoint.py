"""Checkpoints: whole or refused, segments kept as long as one of them needs them."""

import math
import os
import pickle

import numpy as np
import pytest
import torch

from td3sweep.errors import UserError
from td3sweep.replay.frames import FrameReplay
from td3sweep.training import checkpoint
from td3sweep.training.checkpoint import KEEP, Checkpoints, read_checkpoint

OBSERVATION = {"image": np.zeros((4, 84, 84), np.uint8), "vector": np.zeros(1, np.float32)}


def make_replay(capacity=40):
    return FrameReplay(capacity, vector_size=1, action_size=1, gamma=0.9, n_step=1, seed=0)


def fill(replay, transitions, start=0):
    for number in range(start, start + transitions):
        if not replay.episode_open:
            replay.begin(OBSERVATION)
        observation = {**OBSERVATION, "image": np.full((4, 84, 84), number % 251, np.uint8)}
        replay.add(np.zeros(1, np.float32), float(number), False, number % 7 == 6, observation)


@pytest.fixture
def folders(tmp_path):
    made = tmp_path / "checkpoints", tmp_path / "replay"
    for folder in made:
        folder.mkdir()
    return made


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_was_saved_comes_back(folders):
    replay = make_replay()
    fill(replay, 10)
    saver = Checkpoints(*folders)
    saver.save(5, {"weights": torch.arange(3)}, replay)
    fill(replay, 10, 10)
    saver.save(20, {"weights": torch.arange(4)}, replay)
    saved = Checkpoints(*folders).load()
    assert saved.payload["weights"].tolist() == [0, 1, 2, 3]
    twin = make_replay()
    twin.restore(saved.payload["replay"], saved.segments)
    assert torch.equal(twin.sample(8).images, replay.sample(8).images)


def test_nothing_there_is_a_new_run(folders):
    assert Checkpoints(*folders).load() is None


def test_old_checkpoints_and_the_segments_only_they_needed_go(folders):
    replay, saver = make_replay(capacity=40), Checkpoints(*folders)
    for turn in range(12):
        fill(replay, 10, 10 * turn)
        saver.save(10 * (turn + 1), {}, replay)
    assert len(names(folders[0])) == KEEP
    # 40 slots hold about three tens with their end observations; two checkpoints need a few segments, not twelve.
    assert 3 <= len(names(folders[1])) <= 7
    twin = make_replay(capacity=40)
    saved = Checkpoints(*folders).load()
    twin.restore(saved.payload["replay"], saved.segments)
    assert torch.equal(twin.sample(8).rewards, replay.sample(8).rewards)


def test_a_save_removes_what_is_its_own_and_nothing_else(folders):
    replay, saver = make_replay(), Checkpoints(*folders)
    own = (
        ["step-000000000001.pt", ".step-000000000002.pt.part", ".best.pt.part"],
        ["segment-000000000000-000000000003.npz"],
    )
    foreign = ["best.pt", "copy.pt", "step-000000000010-good.pt", "notes.txt"], ["mine.npz"]
    for folder, names_there in zip(folders * 2, own + foreign, strict=True):
        for name in names_there:
            (folder / name).touch()
    for folder in folders:
        (folder / "kept").mkdir()
    fill(replay, 10)
    saver.save(10, {}, replay)
    assert names(folders[0]) == sorted([*foreign[0], "kept", "step-000000000010.pt"])
    assert [name for name in names(folders[1]) if not name.startswith("segment-")] == ["kept", "mine.npz"]
    assert "segment-000000000000-000000000003.npz" not in names(folders[1])


def test_a_truncated_checkpoint_gives_way_to_the_one_before(folders, caplog):
    replay, saver = make_replay(), Checkpoints(*folders)
    for step in (10, 20):
        fill(replay, 10, step)
        saver.save(step, {"step": step}, replay)
    newest = folders[0] / names(folders[0])[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    assert Checkpoints(*folders).load().payload["step"] == 10
    assert "truncated" in caplog.text


@pytest.mark.parametrize("damage", ["flip", "segment"])
def test_damage_anywhere_is_noticed(folders, damage):
    replay, saver = make_replay(), Checkpoints(*folders)
    fill(replay, 10)
    path = saver.save(10, {"weights": torch.zeros(1000)}, replay)
    if damage == "segment":
        path = next(folders[1].iterdir())
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8] = b"damaged!"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"no older one is left.*hydra\.run\.dir"):
        Checkpoints(*folders).load()


class Evil:
    def __reduce__(self):
        return os.system, ("touch hacked",)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"format": 1, "evil": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(UserError, match="holds more than tensors and numbers"):
        read_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("content", [b"", b"not a zip", pickle.dumps({"format": 1})])
def test_foreign_files_are_refused(tmp_path, content):
    path = tmp_path / "foreign.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match="truncated or not a checkpoint"):
        read_checkpoint(path)


def test_another_format_is_refused(tmp_path):
    torch.save({"format": 999}, tmp_path / "new.pt")
    with pytest.raises(UserError, match="format 1"):
        read_checkpoint(tmp_path / "new.pt")


def test_a_full_disk_leaves_the_older_checkpoint_whole(folders, monkeypatch):
    replay, saver = make_replay(), Checkpoints(*folders)
    fill(replay, 10)
    saver.save(10, {"step": 10}, replay)
    fill(replay, 10, 10)

    def full(value, file):
        file.write(b"half a checkp")
        try:
            raise OSError(28, "No space left on device")
        except OSError:
            raise RuntimeError("unexpected pos")  # noqa: B904 - this is how torch.save behaves

    saver.save_best({"env_step": 10, "eval/return": 2.5})
    monkeypatch.setattr(checkpoint.torch, "save", full)
    with pytest.raises(OSError, match=r"No space left.*best\.pt"):
        saver.save_best({"env_step": 20, "eval/return": 3.5})
    assert saver.best() == (2.5, 10, 0.0)
    with pytest.raises(OSError, match=r"No space left.*step-000000000020\.pt"):
        saver.save(20, {"step": 20}, replay)
    assert names(folders[0]) == ["best.pt", "step-000000000010.pt"]
    assert Checkpoints(*folders).load().payload["step"] == 10


def test_a_damaged_best_is_told_of_and_counts_as_none(folders, caplog):
    saver = Checkpoints(*folders)
    assert saver.best() == (-math.inf, 0, 0.0)
    (folders[0] / "best.pt").write_bytes(b"half")
    assert saver.best() == (-math.inf, 0, 0.0)
    assert "best.pt: truncated or not a checkpoint" in caplog.text
