"""What the tests of saving share."""

import io

import numpy as np
import torch


def through_disk(state, segments):
    """State as torch.save writes it, segments as numpy does."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded = []
    for segment in segments:
        buffer = io.BytesIO()
        np.savez(buffer, **segment)
        buffer.seek(0)
        loaded.append(dict(np.load(buffer)))
    return torch.load(file, weights_only=True), loaded


def assert_same_future(one, other):
    for _ in range(3):
        a, b = one.sample(16), other.sample(16)
        assert vars(a).keys() == vars(b).keys()
        for name, value in vars(a).items():
            if isinstance(value, torch.Tensor):
                assert np.array_equal(value, getattr(b, name), equal_nan=True), name
