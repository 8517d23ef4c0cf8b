"""Metrics on disk, one JSON object a line: the truth that everything else mirrors."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class JsonLines:
    """An append-only file of JSON objects that a checkpoint can point into."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab")

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one row. JSON has no NaN: such a value becomes null and its key is listed in ``not_finite``."""
        lost = [key for key, value in row.items() if isinstance(value, float) and not math.isfinite(value)]
        clean = {**row, **dict.fromkeys(lost)} | ({"not_finite": lost} if lost else {})
        self._file.write(json.dumps(clean, allow_nan=False).encode() + b"\n")
        self._file.flush()

    def offset(self) -> int:
        """Bytes written so far, on disk when this returns."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def rewind(self, offset: int) -> None:
        """Forget every row after ``offset``: those a killed run wrote after its last checkpoint."""
        self._file.flush()
        os.truncate(self.path, min(offset, self.path.stat().st_size))
        self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def finite(value: Any) -> Any:
    """The same value, nested as it is, with None for the numbers that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
