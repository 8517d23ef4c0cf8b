"""``stored_state=False``: sequences start from zeros and differ in nothing else."""

import numpy as np
import torch

from td3sweep.replay import FrameReplay


def filled(stored):
    replay = FrameReplay(
        64,
        vector_size=1,
        action_size=1,
        state_sizes=(1, 1),
        state_stride=2,
        stored_state=stored,
        gamma=0.9,
        n_step=1,
        sequence_length=2,
        burn_in=2,
        seed=5,
    )
    frame = np.zeros((4, 84, 84), np.uint8)
    replay.begin({"image": frame, "vector": np.zeros(1, np.float32)})
    for step in range(1, 30):
        replay.add(
            np.zeros(1, np.float32),
            float(step),
            False,
            False,
            {"image": frame, "vector": np.array([step], np.float32)},
            state=np.array([step, -step], np.float32),
        )
    return replay


def test_states_are_zero_and_the_rest_is_the_same():
    kept, zeros = filled(True).sample(40), filled(False).sample(40)
    first = torch.where(kept.burn_in > 0, kept.vectors[:, 0, 0], kept.vectors[:, 2, 0])
    assert torch.equal(kept.states, torch.stack([first, -first], dim=1))
    assert kept.states.any()
    assert not zeros.states.any()
    for name in ("images", "vectors", "actions", "rewards", "discounts", "next_index", "mask", "burn_in", "index"):
        assert torch.equal(getattr(kept, name), getattr(zeros, name)), name
