"""Makes ``docs/agent_view.png``: what the camera sees in a bend of the stand-in's town, and what the agent gets of it.

Run ``python docs/pictures.py`` from the checkout.
"""

from pathlib import Path

import gymnasium
import numpy as np
from PIL import Image

import td3sweep.envs  # noqa: F401  (registers the environment)

HEIGHT = 288


def main() -> None:
    """Drive some seconds by the way-points and save one moment."""
    env = gymnasium.make(
        "td3sweep/CarlaDrive-v0", camera={"width": 512, "height": HEIGHT}, traffic=6, render_mode="rgb_array",
        vector="full", action_repeat=1, steer_scale=1.0, stalled_ticks=None,
    )  # fmt: skip
    observation, _ = env.reset(seed=7)
    best, picture, stack = -1.0, None, None
    for _ in range(400):
        ahead_right = observation["vector"][3 + 3 * 6 + 1] * 50  # the seventh way-point, metres to the right
        action = np.array([np.clip(0.12 * ahead_right, -1, 1), 0.35], np.float32)
        observation, _, terminated, truncated, _ = env.step(action)
        if abs(ahead_right) > best:
            best, picture, stack = abs(ahead_right), env.render(), observation["image"].copy()
        if terminated or truncated:
            break
    env.close()
    assert picture is not None
    assert stack is not None
    newest = np.repeat(stack[-1][:, :, None], 3, axis=2)
    small = Image.fromarray(newest).resize((HEIGHT, HEIGHT), Image.Resampling.NEAREST)
    sheet = Image.new("RGB", (512 + 8 + HEIGHT, HEIGHT), "white")
    sheet.paste(Image.fromarray(picture), (0, 0))
    sheet.paste(small, (520, 0))
    sheet.save(Path(__file__).with_name("agent_view.png"))


if __name__ == "__main__":
    main()
