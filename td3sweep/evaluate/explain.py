"""What a policy looked at: integrated gradients (captum) of its steering, to the image and to the memory's units.

Both use the same method and number of points, so that their times compare: through the whole network to the pixels,
through the whole network to the memory layer, and through the head alone to that layer's units.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from td3sweep.agent.td3 import TD3
from td3sweep.collect.drivers import Trained
from td3sweep.errors import UserError
from td3sweep.evaluate.picture import INK, LANE, PATH

STEER = 0  # the action that is explained
POINTS = 20  # of the integral
MOMENTS = 8
SIDE = 168  # pixels: a frame twice as large
UNITS = 48  # pixels of the height of the units' row


class Explainer:
    """Drives as an agent's policy does and keeps what is needed to explain some of its moments afterwards.

    Attributes:
        moments: image [stack, 84, 84], vector [V] and the memory's state before each agent step.
    """

    def __init__(self, agent: TD3) -> None:
        try:
            import captum  # noqa: F401
        except ImportError as error:
            raise UserError(
                "--explain needs captum, which is not installed; pip install 'td3sweep[explain]'"
            ) from error
        self.agent, self._policy = agent, Trained(agent)
        self.moments: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = []

    def begin(self, seed: int, info: Any) -> None:
        """As the policy; the first episode's moments are kept."""
        self._first = not self.moments
        self._policy.begin(seed, info)

    def act(self, observation: Any, info: Any) -> NDArray[np.float32]:
        """As the policy."""
        if self._first:
            self.moments.append((observation["image"], observation["vector"], self._policy.state))
        return self._policy.act(observation, info)

    def explain(self, path: Path, label: str) -> dict[str, float]:
        """Write the strip of some moments; returns seconds of the fastest, the least disturbed, and their ratios."""
        chosen = np.linspace(0, len(self.moments) - 1, MOMENTS).round().astype(int)
        spent: dict[str, list[float]] = {"image": [], "memory": [], "memory_head": []}
        heats, units = [], []
        attribute = attributors(self.agent)
        for index in (chosen[0], *chosen):  # the first one again: a first call pays for warming up
            image, vector, state = (torch.tensor(part, device=self.agent.device)[None] for part in self.moments[index])
            found = {}
            for name, method in attribute.items():
                started = time.perf_counter()
                found[name] = method(image.float(), vector, state)
                spent[name].append(time.perf_counter() - started)
            heats.append(found["image"][0].abs().sum(0).cpu().numpy())
            units.append(found["memory_head"].flatten().cpu().numpy())
        seconds = {name: min(times[1:]) for name, times in spent.items()}
        _save_strip(path, label, [self.moments[index][0][-1] for index in chosen], heats[1:], units[1:])
        return {
            "image_s": seconds["image"],
            "memory_s": seconds["memory"],
            "memory_head_s": seconds["memory_head"],
            "memory_over_image": seconds["memory"] / seconds["image"],
            "memory_head_over_image": seconds["memory_head"] / seconds["image"],
            "points": POINTS,
            "moments": MOMENTS,
        }


Attributor = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def attributors(agent: TD3) -> dict[str, Attributor]:
    """From image [1, stack, 84, 84] (0 to 255), vector [1, V] and state [1, S] to attributions of the steering.

    The integral runs from a black image, and from units at 0.
    """
    from captum.attr import IntegratedGradients, LayerIntegratedGradients

    units = torch.nn.Identity()  # the memory layer's output passes through it; the layer itself also returns its state
    encoder = agent.critic.encoder if agent.actor.encoder is None else agent.actor.encoder

    def encoded(image: torch.Tensor, vector: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        actor_state, critic_state, last = torch.split(state, list(agent.state_sizes), dim=-1)
        context = torch.cat([vector, last], dim=-1)[:, None] if last.shape[-1] else None
        own = critic_state if agent.actor.encoder is None else actor_state
        features: torch.Tensor = encoder(image[:, None], own, context)[0][:, 0]
        return features

    def steer(image: torch.Tensor, vector: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        return head(units(encoded(image, vector, state)), vector)

    def head(features: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        action: torch.Tensor = agent.actor.head(features, vector)
        return action[:, STEER]

    def scaled(image: torch.Tensor) -> torch.Tensor:
        return encoder.cnn.scaled(image)

    pixels, alone = IntegratedGradients(steer), IntegratedGradients(head)
    layer = LayerIntegratedGradients(steer, units)

    def to_image(image: torch.Tensor, vector: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        start = scaled(torch.zeros_like(image))
        found: torch.Tensor = pixels.attribute(
            scaled(image), start, additional_forward_args=(vector, state), n_steps=POINTS
        )
        return found

    def to_memory(image: torch.Tensor, vector: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        start = scaled(torch.zeros_like(image))
        found: torch.Tensor = layer.attribute(
            scaled(image), start, additional_forward_args=(vector, state), n_steps=POINTS
        )
        return found

    def to_units(image: torch.Tensor, vector: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            features = encoded(scaled(image), vector, state)
        found: torch.Tensor = alone.attribute(features, additional_forward_args=(vector,), n_steps=POINTS)
        return found

    return {"image": to_image, "memory": to_memory, "memory_head": to_units}


def _save_strip(
    path: Path, label: str, frames: list[NDArray[Any]], heats: list[NDArray[Any]], units: list[NDArray[Any]]
) -> None:
    """Frames in grey with the image's attribution in orange over them; below each, its units as bars."""
    sheet = Image.new("RGB", (MOMENTS * SIDE, SIDE + UNITS + 40), "white")
    draw = ImageDraw.Draw(sheet)
    strongest = max(float(np.percentile(np.stack(heats), 99.5)), 1e-12)
    largest = max(float(np.abs(np.stack(units)).max()), 1e-12)
    for column, (frame, heat, bars) in enumerate(zip(frames, heats, units, strict=True)):
        share = np.clip(heat / strongest, 0.0, 1.0)[..., None]
        seen = (1 - share) * frame[..., None] + share * np.array([255.0, 140.0, 0.0])
        picture = Image.fromarray(seen.astype(np.uint8)).resize((SIDE - 4, SIDE - 4), Image.Resampling.NEAREST)
        sheet.paste(picture, (column * SIDE + 2, 2))
        middle, width = SIDE + UNITS // 2 + 4, (SIDE - 4) / len(bars)
        draw.line((column * SIDE + 2, middle, (column + 1) * SIDE - 2, middle), fill=LANE)
        for place, bar in enumerate(bars):
            x, height = column * SIDE + 2 + place * width, float(bar) / largest * UNITS / 2
            draw.rectangle((x, middle - max(height, 0.0), x + max(width - 1, 0), middle - min(height, 0.0)), fill=PATH)
    told = "above: pixels that moved the steering; below: units of the memory layer (without one: features)"
    draw.text((4, SIDE + UNITS + 8), told, fill=INK)
    draw.text((4, SIDE + UNITS + 22), label, fill=INK)
    sheet.save(path)
