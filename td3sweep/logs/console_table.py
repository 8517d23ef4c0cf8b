"""stable-baselines3's table on the console, pasted into a file: one block of ``| name | value |`` a log."""

from __future__ import annotations

import re

RULE = re.compile(r"^-{5,}\s*$", re.MULTILINE)
CELL = re.compile(r"^\|\s*(?P<indent>\s*)(?P<name>[^|]*?)\s*\|\s*(?P<value>[^|]*?)\s*\|\s*$")


def is_console(start: str) -> bool:
    """Whether a file that begins like this holds such tables; lines of other programs may stand before."""
    return bool(RULE.search(start)) and sum(bool(CELL.match(line)) for line in start.splitlines()) > 2


def read_console(text: str) -> list[dict[str, str]]:
    """A row for each block; a name is put behind the heading that it stands under, ``train/actor_loss``."""
    rows: list[dict[str, str]] = []
    row: dict[str, str] = {}
    heading = ""
    for line in text.splitlines():
        cell = CELL.match(line)
        if cell is None:
            if RULE.match(line) and row:
                rows.append(row)
                row, heading = {}, ""
            continue
        name, value = cell["name"].strip(), cell["value"].strip()
        if name.endswith("/") and not value:
            heading = name
        elif name:
            row[f"{heading}{name}"] = value
    return [*rows, row] if row else rows
