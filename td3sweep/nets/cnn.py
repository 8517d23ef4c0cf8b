"""Convolutional encoders: a uint8 image stack in, a feature vector out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from td3sweep.names import FeatureNorm

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
            images: [..., in_channels, 84, 84], uint8 or what `scaled` made of it.

        Returns:
            Features [..., features] in the type of the weights.
        """
        if images.dtype == torch.uint8:
            images = self.scaled(images)
        leading = images.shape[:-3]
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            x = self.convolutions(images.reshape(-1, *images.shape[-3:]))
            x = self.activation(self.linear(x.flatten(1)))
        x = self.norm(x.to(self.linear.weight.dtype))
        features: torch.Tensor = x.view(*leading, self.features)
        return features

    def scaled(self, images: torch.Tensor) -> torch.Tensor:
        """Bytes [..., in_channels, 84, 84] to numbers of the same shape, channels last in memory.

        Several encoders of one scale can share the result, which saves most of the cost beside the convolutions.
        """
        channels_last = torch.stack(images.unbind(-3), dim=-1)
        x = channels_last.to(torch.bfloat16 if self.bf16 else self.linear.weight.dtype)
        # Subtracting first is exact in bfloat16, so that only the division rounds.
        x = x.div_(255.0) if self.scale == "unit" else x.sub_(127.5).div_(127.5)
        return x.movedim(-1, -3)


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
