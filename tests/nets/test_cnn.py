"""Both encoders: sizes, scaling, the order of pool and activation, norm, bfloat16."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from td3sweep.nets import NatureCNN, PooledCNN


def images(*leading):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (*leading, 4, 84, 84), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("cnn", [NatureCNN, PooledCNN])
def test_both_encoders_flatten_to_3136_and_give_512_features(cnn):
    encoder = cnn()
    assert encoder.flat_size == 3136
    assert encoder(images(2, 1)).shape == (2, 1, 512)


def test_parameter_counts():
    # conv: filters * (channels * kernel^2 + 1); linear: 512 * 3137
    linear = 512 * 3137
    nature = 32 * (4 * 64 + 1) + 64 * (32 * 16 + 1) + 64 * (64 * 9 + 1) + linear
    assert sum(p.numel() for p in NatureCNN().parameters()) == nature
    assert sum(p.numel() for p in PooledCNN().parameters()) == nature  # pooling and strides hold none
    assert sum(p.numel() for p in NatureCNN(feature_norm="layernorm").parameters()) == nature + 1024


@pytest.mark.parametrize(("scale", "black", "white"), [("signed", -1.0, 1.0), ("unit", 0.0, 1.0)])
def test_bytes_are_scaled_inside(scale, black, white):
    encoder = NatureCNN(scale=scale)
    stack = torch.zeros(1, 4, 84, 84, dtype=torch.uint8)
    stack[:, :, 10:] = 255
    reference = torch.full((1, 4, 84, 84), black)
    reference[:, :, 10:] = white
    expected = encoder.activation(encoder.linear(encoder.convolutions(reference).flatten(1)))
    assert torch.allclose(encoder(stack), expected, atol=1e-6)


def test_pooling_before_the_activation_is_the_same_function():
    encoder = PooledCNN()
    x = images(1).float() / 127.5 - 1
    convolutions = [layer for layer in encoder.convolutions if isinstance(layer, nn.Conv2d)]
    for layer in convolutions:
        x = functional.max_pool2d(functional.leaky_relu(layer(x), 0.01), 2)
    expected = functional.leaky_relu(encoder.linear(x.flatten(1)), 0.01)
    assert torch.allclose(encoder(images(1)), expected, atol=1e-5)


def test_layernorm_normalises_the_features():
    features = NatureCNN(feature_norm="layernorm")(images(3))
    assert torch.allclose(features.mean(dim=-1), torch.zeros(3), atol=1e-5)
    assert torch.allclose(features.std(dim=-1, unbiased=False), torch.ones(3), atol=0.05)  # eps 1e-5


@pytest.mark.parametrize("cnn", [NatureCNN, PooledCNN])
def test_bfloat16_stays_near_float32_and_returns_float32(cnn):
    encoder = cnn()
    exact = encoder(images(2))
    encoder.bf16 = True
    rough = encoder(images(2))
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    assert (rough - exact).abs().max() < 0.03 * exact.abs().max()
