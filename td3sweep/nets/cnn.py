"""Convolutional encoders: a uint8 image stack in, a feature vector out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

FeatureNorm = Literal["none", "layernorm"]
Activation = Literal["leaky_relu", "relu"]
Scale = Literal["signed", "unit"]

LEAKY_SLOPE = 0.01
IMAGE_SIZE = 84


class ImageCNN(nn.Module):
    """Convolutions, each followed by an optional 2x2 max-pool and an activation, then one linear layer.

    Args:
        layers: (filters, kernel, stride) of each convolution; none is padded.
        pool: put a 2x2 max-pool (rounding down) behind each convolution.
        in_channels: frames in the stack.
        features: width of the output.
        feature_norm: `layernorm` normalises the features after the last activation.
        activation: `leaky_relu` (slope .01) or `relu`.
        scale: range the bytes are mapped to, `signed` [-1, 1] or `unit` [0, 1].

    Attributes:
        bf16: run convolutions and linear layer in bfloat16 autocast; the output keeps the weights' type.
    """

    def __init__(
        self,
        layers: Sequence[tuple[int, int, int]],
        *,
        pool: bool,
        in_channels: int = 4,
        features: int = 512,
        feature_norm: FeatureNorm = "none",
        activation: Activation = "leaky_relu",
        scale: Scale = "signed",
    ) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        channels, side = in_channels, IMAGE_SIZE
        for filters, kernel, stride in layers:
            stages.append(nn.Conv2d(channels, filters, kernel, stride))
            side = (side - kernel) // stride + 1
            if pool:
                # Pooled first: the same function, as the activation is monotone, on a quarter of the values.
                stages.append(nn.MaxPool2d(2))
                side //= 2
            stages.append(_activation(activation))
            channels = filters
        self.flat_size = channels * side * side
        self.features = features
        self.convolutions = nn.Sequential(*stages)
        self.linear = nn.Linear(self.flat_size, features)
        self.activation = _activation(activation)
        self.norm = nn.LayerNorm(features) if feature_norm == "layernorm" else nn.Identity()
        self.scale = scale
        self.bf16 = False

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Encode images.

        Args:
            images: uint8 [..., in_channels, 84, 84].

        Returns:
            Features [..., features] in the type of the weights.
        """
        leading = images.shape[:-3]
        stacks = images.reshape(-1, *images.shape[-3:])
        with torch.autocast(stacks.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            x = self.convolutions(self._scaled(stacks))
            x = self.activation(self.linear(x.flatten(1)))
        x = self.norm(x.to(self.linear.weight.dtype))
        features: torch.Tensor = x.view(*leading, self.features)
        return features

    def _scaled(self, stacks: torch.Tensor) -> torch.Tensor:
        x = stacks.to(self.linear.weight.dtype)
        return x.div_(255.0) if self.scale == "unit" else x.div_(127.5).sub_(1.0)


class NatureCNN(ImageCNN):
    """The DQN encoder (Mnih et al., Nature 2015).

    84x84 -> 20 -> 9 -> 7, 3136 values, 7.74M MACs of convolution.
    """

    def __init__(
        self,
        in_channels: int = 4,
        features: int = 512,
        feature_norm: FeatureNorm = "none",
        *,
        activation: Activation = "leaky_relu",
        scale: Scale = "signed",
    ) -> None:
        super().__init__(
            [(32, 8, 4), (64, 4, 2), (64, 3, 1)],
            pool=False,
            in_channels=in_channels,
            features=features,
            feature_norm=feature_norm,
            activation=activation,
            scale=scale,
        )


class PooledCNN(ImageCNN):
    """The race-driving encoder (Jaritz et al., ICRA 2018): stride 1, 2x2 max-pool behind each convolution.

    84x84 -> 77 -> 38 -> 35 -> 17 -> 15 -> 7, 3136 values, 97.0M MACs of convolution.
    """

    def __init__(
        self,
        in_channels: int = 4,
        features: int = 512,
        feature_norm: FeatureNorm = "none",
        *,
        activation: Activation = "leaky_relu",
        scale: Scale = "signed",
    ) -> None:
        super().__init__(
            [(32, 8, 1), (64, 4, 1), (64, 3, 1)],
            pool=True,
            in_channels=in_channels,
            features=features,
            feature_norm=feature_norm,
            activation=activation,
            scale=scale,
        )


def _activation(name: Activation) -> nn.Module:
    return nn.ReLU(inplace=True) if name == "relu" else nn.LeakyReLU(LEAKY_SLOPE, inplace=True)
