"""Random shift: a translation with repeated edges, one per stack or one per window."""

import dataclasses

import torch
from agents import make_agent, make_batch, parameters, same

from td3sweep.agent.augment import random_shift


def ramp(rows, window):
    """Pixel value = row + 2 * column, so a shift shows in every pixel."""
    y, x = torch.meshgrid(torch.arange(84), torch.arange(84), indexing="ij")
    return (y + 2 * x).to(torch.uint8).expand(rows, window, 4, 84, 84)


def test_shift_is_a_translation_with_repeated_edges():
    generator = torch.Generator().manual_seed(0)
    shifted = random_shift(ramp(64, 2), 4, generator, per_window=False)
    source = ramp(1, 1)[0, 0, 0]
    found = set()
    for row in range(64):
        for place in range(2):
            image = shifted[row, place]
            assert (image == image[0]).all()  # the frames of a stack move together
            match = [
                (dy, dx)
                for dy in range(-4, 5)
                for dx in range(-4, 5)
                if torch.equal(
                    image[0],
                    source[(torch.arange(84) + dy).clamp(0, 83)][:, (torch.arange(84) + dx).clamp(0, 83)],
                )
            ]
            assert len(match) == 1
            found.add(match[0])
    assert {dy for dy, _ in found} == {dx for _, dx in found} == set(range(-4, 5))


def test_one_shift_a_window_where_a_memory_reads_it():
    generator = torch.Generator().manual_seed(0)
    steady = random_shift(ramp(8, 5), 4, generator, per_window=True)
    assert all((steady[:, place] == steady[:, 0]).all() for place in range(5))
    assert not all((steady[row] == steady[0]).all() for row in range(8))
    loose = random_shift(ramp(8, 5), 4, generator, per_window=False)
    assert not all((loose[:, place] == loose[:, 0]).all() for place in range(5))


def test_an_update_sees_shifted_images_only_where_asked():
    """A shift moves pixels: it must change what is learnt from pictures, and nothing where all pixels are alike."""
    pictures = make_batch(2)
    plain = dataclasses.replace(pictures, images=torch.full_like(pictures.images, 99))
    for batch, unchanged in ((pictures, False), (plain, True)):
        without, shifted = (make_agent(target_noise=0.0, aug=aug) for aug in ("none", "shift4"))
        for agent in (without, shifted):
            agent.update(batch)
        assert same(parameters(without.critic), parameters(shifted.critic)) is unchanged
