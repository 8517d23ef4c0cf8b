"""Data flows one way: the learner and the monitor stand alone, and only one module each knows wandb and rich."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import td3sweep

PACKAGE = Path(td3sweep.__file__).parent
FORBIDDEN = {"hydra", "omegaconf", "wandb", "optuna", "carla", "gymnasium", "rich"}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


def roots(path):
    return {name.partition(".")[0] for name in imports(path)}


def running(tree):
    """The nodes that run: what stands below ``if TYPE_CHECKING`` does not."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)):
            yield node
            yield from running(node)


# The floors, lowest first: a room imports from lower floors only, whether at the top of a file or within a function.
FLOORS = (
    {"errors", "files", "names", "stats", "standin"},
    {"process", "nets", "replay", "monitor", "logs"},
    {"agent", "config"},
    {"envs", "doctor"},
    {"assemble", "collect"},
    {"record"},
    {"training", "diagnose"},
    {"evaluate", "gates", "report", "sweep"},
    {"commands", "hooks"},
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def room_of(name):
    """The room a module lies in: a package or module of the first floor; the doors of all commands are one."""
    return "commands" if name.endswith("__main__") else name.partition(".")[0]


def arrows():
    """(from, to, file) of every import from one room into another; the package itself, the public API, is outside."""
    for path in PACKAGE.rglob("*.py"):
        room = room_of(".".join(path.relative_to(PACKAGE).with_suffix("").parts))
        for node in running(ast.parse(path.read_text())):
            names = [alias.name for alias in getattr(node, "names", ())] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                into = room_of(name.removeprefix("td3sweep."))
                known = (PACKAGE / into).is_dir() or (PACKAGE / f"{into}.py").is_file()
                if name.startswith("td3sweep.") and into != room and known and room != "__init__":
                    yield room, into, path


def test_no_arrow_runs_back_up():
    rooms = {room_of(".".join(path.relative_to(PACKAGE).with_suffix("").parts)) for path in PACKAGE.rglob("*.py")}
    assert rooms - {"__init__"} == FLOOR.keys()
    assert [arrow for arrow in arrows() if FLOOR[arrow[0]] <= FLOOR[arrow[1]]] == []


def test_the_stand_in_imports_nothing_of_ours():
    assert [arrow for arrow in arrows() if arrow[0] == "standin"] == []


@pytest.mark.parametrize("package", ["agent", "nets", "replay", "monitor"])
def test_the_learner_and_the_monitor_stand_alone(package):
    files = list((PACKAGE / package).rglob("*.py"))
    assert files
    for path in files:
        assert not roots(path) & FORBIDDEN, path
        outside = {name for name in imports(path) if name.startswith("td3sweep.")}
        parts = ("agent", "nets", "replay", "monitor", "errors", "names")
        allowed = tuple(f"td3sweep.{part}" for part in parts)
        assert all(name.startswith(allowed) for name in outside), path


def test_only_record_and_the_report_for_wandb_import_it():
    users = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if "wandb" in roots(path)}
    assert users == {"record/wandb.py", "report/wandb_project.py", "report/wandb_report.py"}


def test_the_stand_in_is_light_to_start():
    heavy = "[m for m in ('torch', 'carla', 'hydra', 'wandb', 'gymnasium') if m in sys.modules]"
    code = f"import sys, td3sweep.standin.__main__; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
