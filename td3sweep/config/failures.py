"""Every ending that is not success, as one line and an exit code; shared by all commands."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from typing import NoReturn

from td3sweep.config.compose import COMPOSITION_ERRORS, explain
from td3sweep.errors import SimulatorError, UserError, may_not_read

NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)
FULL = (errno.ENOSPC, errno.EDQUOT)
NULL_GROUP = "a config group cannot be null; choose one of its options (--help lists them)"


def explain_failure(error: Exception) -> tuple[str, int]:
    """One line and the exit code; a fault that nobody foresaw keeps its traceback."""
    if isinstance(error, (UserError, SimulatorError)):
        return str(error), error.exit_code
    if isinstance(error, COMPOSITION_ERRORS):
        return explain(error), UserError.exit_code
    if isinstance(error, ValueError) and (line := _of_hydra(str(error))):
        return line, UserError.exit_code
    if isinstance(error, PermissionError) and _is_closed(error.filename):
        return str(may_not_read(error.filename)), UserError.exit_code
    if isinstance(error, OSError) and error.errno in NOT_WRITABLE:
        return f"hydra.run.dir: {error.strerror}: {error.filename}; choose a directory you can write to", 2
    if isinstance(error, OSError) and error.errno in FULL:
        return (
            f"{error.strerror}: {error.filename or 'the run directory'}; free space, then the same command resumes",
            1,
        )
    raise error


def _of_hydra(text: str) -> str:
    """What Hydra raises as a plain ValueError, as a line; empty for any other."""
    if text.startswith("Only one of --"):
        return f"{text.strip()}; --cfg shows a single run, so drop --multirun"
    return NULL_GROUP if "Config group override" in text else ""


def _is_closed(path: str | None) -> bool:
    """Whether it was reading that failed: something is there and its permissions do not let us read it."""
    return path is not None and os.path.exists(path) and not os.access(path, os.R_OK)


def report(line: str) -> None:
    """Print one line on stderr."""
    print(f"td3sweep: {' '.join(line.split())}", file=sys.stderr)


def refuse(line: str, code: int) -> NoReturn:
    """Print one line and exit."""
    report(line)
    sys.exit(code)


class Parser(argparse.ArgumentParser):
    """A parser of flags that refuses in one line, as every command does."""

    def error(self, message: str) -> NoReturn:
        """Raise UserError."""
        raise UserError(f"{message}; --help lists every option")
