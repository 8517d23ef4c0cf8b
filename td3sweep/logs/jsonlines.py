"""JSON objects, one a line, from a file that may still be written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_json_lines(path: Path, notes: list[str]) -> list[dict[str, Any]]:
    """The whole objects of a file. A half-written last line and lines that are no object are dropped and told of."""
    objects: list[dict[str, Any]] = []
    broken = half = 0
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not line.endswith(b"\n"):
            half = len(line)
        elif isinstance(found, dict):
            objects.append(found)
        elif line.strip():
            broken += 1
    if half:
        notes.append(f"{path.name}: the last line is half written; {half} bytes dropped")
    if broken:
        notes.append(f"{path.name}: {broken} lines that are no JSON object dropped")
    return objects
