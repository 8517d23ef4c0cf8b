"""The command line: CarlaUE4.sh's flags, the stand-in's own, and clear words on bad values."""

from __future__ import annotations

import subprocess
import sys

import pytest

from td3sweep.standin.faults import Faults
from td3sweep.standin.maps import DEFAULT_MAP
from td3sweep.standin.options import OptionError, parse


def test_defaults():
    options = parse([])
    assert (options.rpc_port, options.stream_port, options.host) == (2000, 2001, "127.0.0.1")
    assert (options.map_name, options.faults) == (DEFAULT_MAP, Faults())


def test_streaming_port_follows_the_rpc_port_unless_given():
    assert parse(["-carla-rpc-port=4000"]).stream_port == 4001
    assert parse(["-carla-streaming-port=5000", "-carla-rpc-port=4000"]).stream_port == 5000


def test_flags_of_the_real_program_are_accepted_silently(capsys):
    flags = "-RenderOffScreen -nosound -quality-level=Low -benchmark -fps=20 -opengl -graphicsadapter=1 -ros2"
    parse(flags.split())
    assert capsys.readouterr().err == ""


def test_unknown_flags_are_warned_about(capsys):
    assert parse(["-colour=blue", "-carla-rpc-port=4000"]).rpc_port == 4000
    assert "ignoring unknown flag -colour=blue" in capsys.readouterr().err


def test_faults_are_read_by_name():
    flags = "-fault-slow-load=1.5 -fault-hang-after=3 -fault-drop-frame-every=4 -fault-die-at-start"
    assert parse(flags.split()).faults == Faults(slow_load=1.5, hang_after=3, drop_frame_every=4, die_at_start=True)


@pytest.mark.parametrize(
    "flag",
    [
        "-carla-rpc-port=abc",
        "-carla-rpc-port=0",
        "-carla-rpc-port=70000",
        "-map=Town01",
        "-fault-hang-after=soon",
        "-fault-slow-load=-1",
        "-fault-slow-load=nan",
    ],
)
def test_bad_values_are_refused_by_name(flag):
    with pytest.raises(OptionError, match=flag.partition("=")[0]):
        parse([flag])


def test_help_and_bad_value_as_a_program():
    def run(flag: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "td3sweep.standin", flag], capture_output=True, text=True, timeout=20, check=False
        )

    shown = run("--help")
    assert shown.returncode == 0
    assert "not CARLA results" in shown.stdout
    refused = run("-map=Town01")
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
