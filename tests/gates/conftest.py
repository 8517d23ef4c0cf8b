"""What the tests of gates share."""

import pytest

from td3sweep.monitor.explosion import Explosion


@pytest.fixture(autouse=True)
def no_forecasts(monkeypatch):
    """A report's forecasts, which no rule reads, cost hundreds of fits."""
    monkeypatch.setattr(Explosion, "growth", lambda *_: None)
