"""Rings of several actors: drawn from in proportion, saved and restored as one."""

import numpy as np
import pytest
import torch

from td3sweep.replay.shards import ShardedReplay
from td3sweep.training.checkpoint import Checkpoints


def make(shards=3, capacity=120, memory=False, seed=5):
    shape = {"state_sizes": (2, 1), "state_stride": 2, "sequence_length": 4, "burn_in": 2} if memory else {}
    return ShardedReplay(
        shards, capacity, frame_shape=(3, 3), vector_size=1, action_size=1, gamma=0.9, n_step=1, seed=seed, **shape
    )


def observation(value, repeat=1):
    image = np.zeros((4, 3, 3), np.uint8)
    image[-repeat:] = value
    return {"image": image, "vector": np.array([value], np.float32)}


def play(shard, mark, steps, end=True):
    """An episode of ``steps`` transitions whose reward is ``mark``."""
    shard.begin(observation(mark, repeat=4))
    for step in range(steps):
        state = np.full(shard._state_size, step, np.float32)
        meant = np.full(1, step / 100) if step % 2 else None
        shard.add(np.zeros(1), float(mark), False, end and step == steps - 1, observation(mark), state, meant)


def equal(one, other):
    pairs = zip(vars(one).values(), vars(other).values(), strict=True)
    return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs if isinstance(a, torch.Tensor))


def test_a_batch_is_drawn_in_proportion_to_the_rings_transitions():
    replay = make()
    play(replay.shards[0], 1, 30)
    play(replay.shards[2], 3, 10)
    assert len(replay) == 40
    rewards = np.concatenate([replay.sample(100).rewards.numpy().ravel() for _ in range(40)])
    assert len(rewards) == 4000
    assert set(rewards) == {1.0, 3.0}
    assert np.mean(rewards == 1.0) == pytest.approx(0.75, abs=0.035)  # five standard deviations


def test_it_can_be_sampled_as_soon_as_all_rings_together_hold_enough():
    replay = make()
    for shard, mark in zip(replay.shards, (1, 2, 3), strict=True):
        play(shard, mark, 4)
    assert replay.can_sample(12)
    assert not replay.can_sample(13)
    with pytest.raises(ValueError, match="nothing to sample"):
        make().sample(1)


def test_sequences_are_whole_and_of_one_ring():
    replay = make(memory=True)
    for shard, mark in zip(replay.shards, (1, 2, 3), strict=True):
        play(shard, mark, 12)
    batch = replay.sample(10)
    assert batch.rewards.shape == (10, 4)
    assert all(len(set(row[keep > 0].tolist())) == 1 for row, keep in zip(batch.rewards, batch.mask, strict=True))


def test_open_episodes_are_discarded_in_all_rings():
    replay = make()
    play(replay.shards[0], 1, 5)
    play(replay.shards[1], 2, 5, end=False)
    play(replay.shards[2], 3, 5, end=False)
    assert replay.discard_episodes() == 2
    assert len(replay) == 5
    assert replay.discard_episodes() == 0


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("slots", [30, 4096])
def test_saved_in_pieces_and_restored_it_draws_the_same_samples(tmp_path, monkeypatch, memory, slots):
    monkeypatch.setattr("td3sweep.training.checkpoint.SEGMENT_SLOTS", slots)
    replay, rng = make(memory=memory), np.random.default_rng(0)
    folders = [tmp_path / "checkpoints", tmp_path / "replay"]
    for folder in folders:
        folder.mkdir()
    writer = Checkpoints(*folders)
    for round_ in range(1, 26):  # rings wrap, one stays empty for a while, one episode stays open
        for place, shard in enumerate(replay.shards[: 3 if round_ > 4 else 2]):
            if not shard.episode_open:
                play(shard, 10 * (round_ % 20) + place, int(rng.integers(3, 12)), end=bool(rng.random() < 0.8))
            else:
                shard.discard_episode()
        writer.save(round_, {}, replay)
    kept = sorted(path.name for path in folders[1].iterdir())
    assert kept[0] > "segment-000000000050", kept  # what is overwritten is let go
    saved = Checkpoints(*folders).load()
    again = make(memory=memory, seed=99)
    again.restore(saved.payload["replay"], saved.segments)
    assert len(again) == len(replay)
    for _ in range(5):
        assert equal(replay.sample(16), again.sample(16))
    play(next(s for s in replay.shards if not s.episode_open), 200, 9)
    play(next(s for s in again.shards if not s.episode_open), 200, 9)
    assert equal(replay.sample(16), again.sample(16))
    assert replay.dump_segment(0)[1] == again.dump_segment(0)[1]


def test_a_ring_that_was_emptied_for_good_needs_no_segment(tmp_path):
    replay = make()
    folders = [tmp_path / "checkpoints", tmp_path / "replay"]
    for folder in folders:
        folder.mkdir()
    writer = Checkpoints(*folders)
    play(replay.shards[0], 1, 3, end=False)
    replay.shards[0].discard_episode()  # its actor is given up
    writer.save(1, {}, replay)
    for round_ in range(2, 12):
        for shard in replay.shards[1:]:
            play(shard, round_, 10)
        writer.save(round_, {}, replay)
    saved = Checkpoints(*folders).load()
    assert min(int(segment["writes"].min()) for segment in saved.segments) > replay.shards[0].state()["write_count"]
    again = make(seed=99)
    again.restore(saved.payload["replay"], saved.segments)
    assert [len(shard) for shard in again.shards] == [len(shard) for shard in replay.shards]
    assert len(again.shards[0]) == 0
    assert equal(replay.sample(16), again.sample(16))
    for one in (replay, again):
        play(one.shards[0], 77, 6)
    assert equal(replay.sample(16), again.sample(16))
    assert replay.dump_segment(0)[1] == again.dump_segment(0)[1]
