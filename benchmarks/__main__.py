"""The performance table against peers, as ratios within one run: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is loaded
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["WANDB_MODE"] = "offline"

import torch
from rich.console import Console

from benchmarks.page import DOCS, replace_section
from benchmarks.performance import run_rows, update_rows
from benchmarks.performance.rows import Row, as_markdown, show
from benchmarks.performance.sections import QUICK, Progress, Section, Size
from td3sweep.record.provenance import processor

SECTIONS = (
    Section("nature", 80, update_rows.nature),
    Section("pooled", 120, update_rows.pooled),
    Section("cuda", 1, update_rows.cuda),
    Section("replay", 1, run_rows.replay),
    Section("loop", 270, run_rows.loop),
    Section("startup", 60, run_rows.startup),
    Section("memory", 1500, run_rows.memory),
)
DATA, DOCUMENT = DOCS / "data/performance.json", DOCS / "performance.md"
PEERS = ("stable_baselines3", "tianshou")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    found = {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "Python": platform.python_version(),
        "torch": torch.__version__,
    }
    for name in PEERS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def measure(sections: Sequence[Section], size: Size) -> dict[str, Any]:
    """Every row of ``sections``, for JSON."""
    progress, rows = Progress(sections), list[Row]()
    for section in sections:
        loads = [os.getloadavg()[0]]
        found = section.measure(size, progress.of(section))
        loads.append(os.getloadavg()[0])
        when = f"{time.strftime('%d %B %Y')}, load {loads[0]:.1f} before and {loads[1]:.1f} after"
        rows += [replace(row, measured=when) for row in found]
    return {"machine": machine(), "rows": [row.as_dict() for row in rows]}


def save(found: dict[str, Any]) -> None:
    """Put ``found`` into the stored result, row by row, and the stored result into the document."""
    kept = json.loads(DATA.read_text()) if DATA.exists() else found
    if kept["machine"] != found["machine"]:
        kept = found  # figures of two machines do not go into one table
    new = {row["name"]: row for row in found["rows"]}
    rows = [new.pop(row["name"], row) for row in kept["rows"]] + list(new.values())
    kept = {"machine": found["machine"], "rows": rows}
    DATA.write_text(json.dumps(kept, indent=1) + "\n")
    replace_section("performance", as_markdown(kept), DOCUMENT)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, save if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [section.name for section in SECTIONS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--quick", action="store_true", help="a smoke run: shapes are right, times are not")
    parser.add_argument(
        "--save", action="store_true", help="also into docs/data/performance.json and docs/performance.md"
    )
    given = parser.parse_args(arguments)
    if given.quick and given.save:
        parser.error("--save: a quick run's times mean nothing; drop --quick")
    chosen = [section for section in SECTIONS if given.only is None or section.name in given.only]
    found = measure(chosen, QUICK if given.quick else Size())
    if given.save:
        save(found)
    if given.json:
        print(json.dumps(found, indent=1))
    else:
        show(found["rows"], Console())


if __name__ == "__main__":
    sys.exit(main())
