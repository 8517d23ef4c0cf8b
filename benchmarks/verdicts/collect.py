"""Make the runs that ``python -m benchmarks.verdicts`` judges: ``python -m benchmarks.verdicts.collect [--width N]``.

A run takes about 10 s on a core. What the file holds already is not made again, so that a repeated command goes on.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from rich.progress import track

from benchmarks.page import DOCS

DATA = DOCS / "data/verdicts.jsonl.xz"
LOOP_SEEDS, SB3_SEEDS = 6, 6


def wanted() -> Iterator[tuple[str, str, int]]:
    """(writer, kind, seed) of every run."""
    from benchmarks.verdicts import loop, sb3

    for seed in range(LOOP_SEEDS):
        yield from (("loop", fault, seed) for fault in loop.FAULTS)
        if seed < SB3_SEEDS:
            yield from (("stable-baselines3", kind, seed) for kind in sb3.KINDS)


def make(writer: str, kind: str, seed: int) -> dict[str, Any]:
    """Train one."""
    import torch

    from benchmarks.verdicts import loop, sb3

    torch.set_num_threads(1)
    found = (loop.train if writer == "loop" else sb3.train)(kind, seed)
    rows = [{key: float(f"{value:.6g}") for key, value in row.items()} for row in found["rows"]]
    return {"writer": writer, "kind": kind, "seed": seed} | found | {"rows": rows}


def read(path: Path = DATA) -> list[dict[str, Any]]:
    """The runs made so far."""
    if not path.exists():
        return []
    with lzma.open(path, "rt") as file:
        return [json.loads(line) for line in file]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts.collect", description=__doc__.split("\n")[0])
    parser.add_argument("--width", type=int, default=os.cpu_count(), help="runs at a time, a core each")
    parser.add_argument("--out", type=Path, default=DATA)
    options = parser.parse_args()
    runs = read(options.out)
    have = {(run["writer"], run["kind"], run["seed"]) for run in runs}
    missing = [one for one in wanted() if one not in have]
    with ProcessPoolExecutor(options.width) as pool:
        jobs = [pool.submit(make, *one) for one in missing]
        for done in track(as_completed(jobs), "training", total=len(jobs)):
            runs.append(done.result())
            if len(runs) % 20 == 0:
                write(runs, options.out)
    write(runs, options.out)


def write(runs: list[dict[str, Any]], path: Path) -> None:
    """All runs, in an order of their own."""
    with lzma.open(path, "wt") as file:
        for run in sorted(runs, key=lambda run: (run["writer"], run["kind"], run["seed"])):
            file.write(json.dumps(run) + "\n")


if __name__ == "__main__":
    main()
