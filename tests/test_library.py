"""The learner on its own: the documentation's example trains, and loads nothing of the rest."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("Box2D")
EXAMPLE = Path(__file__).parents[1] / "docs/car_racing.py"
CODE = """\
import runpy, sys
metrics = runpy.run_path(sys.argv[1])["train"](steps=24, warmup=20, batch_size=4)
print(float(metrics["loss/critic"]), [m for m in ("hydra", "wandb", "carla", "optuna", "rich") if m in sys.modules])
"""


@pytest.mark.slow
def test_the_example_trains():
    done = subprocess.run([sys.executable, "-c", CODE, EXAMPLE], check=True, capture_output=True, text=True)
    loss, loaded = done.stdout.splitlines()[-1].split(maxsplit=1)
    assert 0.0 < float(loss) < 100.0
    assert loaded == "[]"
