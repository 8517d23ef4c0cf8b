"""Every command of the pages on servers composes, and its container command is one that the trainer accepts."""

import re
import shlex
from pathlib import Path

import pytest

from td3sweep.envs.carla.server import check_command

DOCS = Path(__file__).parents[2] / "docs"
COMMAND = re.compile(r"(?:python -m td3sweep|^td3sweep) (env\.[^`\n#]*)", re.MULTILINE)
COMMANDS = [line for page in ("carla.md", "carla_server.md") for line in COMMAND.findall((DOCS / page).read_text())]


def test_the_pages_show_every_way_to_a_server():
    shown = {way for line in COMMANDS for way in re.findall(r"env\.server=(\w+)", line)}
    assert shown == {"launch", "command", "connect"}


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_pages_composes(line, settings, tmp_path, monkeypatch):
    env = settings(*shlex.split(line)).env
    if env.server == "command":
        program = tmp_path / env.command[0]
        program.touch(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        check_command(env.command)
        assert env.command[-1] == "./CarlaUE4.sh"  # its flags follow
