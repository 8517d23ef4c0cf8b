"""What produced the runs, and where they differ in it: such runs are not strictly comparable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from td3sweep.report.runs import Run

ROWS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "commit": lambda p: p.get("commit") and p["commit"][:12] + (" with uncommitted changes" if p.get("dirty") else ""),
    "simulator": lambda p: p.get("simulator"),
    "Python": lambda p: p.get("python"),
    "machine": lambda p: p.get("hardware", {}).get("machine"),
    "processor": lambda p: p.get("hardware", {}).get("processor"),
    "cores": lambda p: p.get("hardware", {}).get("cores"),
}


def provenance(runs: Sequence[Run]) -> list[tuple[str, list[tuple[str, int]]]]:
    """``(what, [(value, runs), ...])``, the commonest value first; several values call for a warning."""
    stamped = [run.provenance for run in runs if run.provenance]
    packages = sorted({name for stamp in stamped for name in stamp.get("versions", {})})
    readers = {**ROWS, **{name: _version(name) for name in packages}}
    table = []
    for what, read in readers.items():
        values = Counter(str(value) for stamp in stamped if (value := read(stamp)) is not None)
        if values:
            table.append((what, values.most_common()))
    seeds = Counter(str(run.seed) for run in runs if run.seed is not None)
    table.append(("seeds", sorted(seeds.items(), key=lambda item: int(item[0]))))
    return table


def warnings(runs: Sequence[Run], table: Sequence[tuple[str, list[tuple[str, int]]]]) -> list[str]:
    """One line for each difference in what produced the runs, and for runs that carry no stamp."""
    lines = [
        f"{what} differs: {', '.join(f'{value} ({count} runs)' for value, count in values)}"
        for what, values in table
        if what != "seeds" and len(values) > 1
    ]
    bare = sum(not run.provenance for run in runs)
    return lines + ([f"{bare} of {len(runs)} runs carry no provenance"] if bare else [])


def _version(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda stamp: stamp.get("versions", {}).get(name)
