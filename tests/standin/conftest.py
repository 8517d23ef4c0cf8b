"""A stand-in server per test: started as its own process on free ports, ended by its pid."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the helper module beside the tests

from standin_process import StandIn, free_ports, launch, wait_until


@pytest.fixture
def start_standin(tmp_path: Path) -> Iterator[Callable[..., StandIn]]:
    """Call it with the server's flags; every server it started ends with the test."""
    started: list[StandIn] = []

    def start(*flags: str) -> StandIn:
        port = free_ports()
        log = tmp_path / f"standin-{port}.log"
        standin = StandIn(launch(port, log, *flags), port, log)
        started.append(standin)
        assert wait_until(lambda: "listening on" in log.read_text()), log.read_text()
        return standin

    yield start
    for standin in started:
        standin.stop()


@pytest.fixture
def standin(start_standin: Callable[..., StandIn]) -> StandIn:
    return start_standin()
