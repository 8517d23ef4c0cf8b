"""Where a run is written, and which one ``resume=last`` goes on with."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from td3sweep.files import read_json
from td3sweep.process.lock import in_use


def run_directory(root: str, stamp: str, resume: str | None, steps: int) -> str:
    """A directory ``root/stamp`` of its own, or with ``resume=last`` the newest below ``root`` that is to go on."""
    newest = unfinished(Path(root), int(steps)) if resume == "last" else None
    return str(newest or claim(Path(root) / stamp))


def unfinished(root: Path, steps: int) -> Path | None:
    """The newest run directory below ``root`` that is unfinished, or finished short of ``steps`` environment steps.

    One that saved a checkpoint comes before those that ended earlier; one in which a run is going on is none of them.
    """
    runs = [config.parent for config in root.glob("*/config.yaml")]
    found = None
    for run in sorted(runs, key=_last_begun, reverse=True):
        summary = read_json(run / "summary.json")
        if (not summary.get("finished") or summary["env_steps"] < steps) and not in_use(run):
            if any(run.glob("checkpoints/step-*.pt")):
                return run
            found = found or run
    return found


def _last_begun(run: Path) -> tuple[float, str]:
    """When a run was last begun or resumed: its ``config.yaml`` is written then."""
    return (run / "config.yaml").stat().st_mtime, run.name


def claim(path: Path) -> Path:
    """Make ``path``, or the first of ``path-2``, ``path-3``... that is not there: no two callers get the same one.

    Where none can be made ``path`` is returned as it is.
    """
    claimed, number = path, 1
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            with suppress(FileExistsError):
                claimed.mkdir()
                return claimed
            number += 1
            claimed = path.with_name(f"{path.name}-{number}")
    except OSError:
        return path  # whoever writes there says what is wrong
