"""The study's runs: the described failure, the document's fixes one by one and together.

Each part is a list of cells (`benchmarks/learning/cells.py`); ``python -m benchmarks.study PART --cell NAME`` runs
one again. The part ``ablation`` is a sweep of the product's own. Finished runs stand in docs/data/study.jsonl, one
line each; what a report needs of their directories (configuration, metrics, episodes, summary) is packed into
docs/data/study/PART.tar.xz, so that

    tar xf docs/data/study/reproduce.tar.xz -C runs && python -m td3sweep.report runs/reproduce -o page.html

makes the part's page without running anything.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path, PurePosixPath

from benchmarks.learning.cells import Cell, parser, run_asked
from benchmarks.page import DOCS

DATA, PACKED = DOCS / "data/study.jsonl", DOCS / "data/study"
# The described run with its settings, shortened: batch 64 instead of 256, 1,000 updates instead of 4,000.
AS_IT_RAN = [
    "experiment=described_5k", "hyperparams.batch_size=64", "steps=2000", "eval_every=500", "eval_episodes=2",
    "save_every=500",
]  # fmt: skip
FIXES = {  # each alone; what they are compared with are the runs of "reproduce" on the same seeds
    "clip off": ["clip=off"],
    "clip per module": ["clip=per_module"],
    "clip by value": ["clip=value"],
    "hyperparams=paper": ["hyperparams=paper", "hyperparams.batch_size=64"],
    "hyperparams=current": ["hyperparams=current", "hyperparams.batch_size=64"],
    "LayerNorm": ["feature_norm=layernorm"],
    "gru48": ["recurrent=gru48", "hyperparams.batch_size=6"],  # windows of ten
    "lstm256": ["recurrent=lstm256", "hyperparams.batch_size=6"],
    "pooled, batch 16": ["cnn=pooled", "hyperparams.batch_size=16"],
    "nature, batch 16": ["hyperparams.batch_size=16"],
    "tanh cared for": ["pre_tanh_penalty=0.005", "actor_init_scale=0.1"],  # this package's defaults, not the document's
}
WIRINGS = ("crossed", "separate")
NO_TESTS: dict[str, list[str]] = {}


def _both(name: str, overrides: list[str], seeds: int) -> list[Cell]:
    return [
        Cell(f"{name}, {wiring}", [*AS_IT_RAN, *overrides, f"wiring={wiring}"], seeds, NO_TESTS) for wiring in WIRINGS
    ]


PARTS: dict[str, list[Cell]] = {
    "reproduce": _both("as it ran", [], 10),
    "fixes": [cell for name, overrides in FIXES.items() for cell in _both(name, overrides, 3)],
    "norms": [Cell("sum of norms", [*AS_IT_RAN, "wiring=crossed", "fault=sum_of_norms"], 3, NO_TESTS)],
}
ABLATION = "ablation"
KEPT = ("config.yaml", "provenance.json", "metrics.jsonl", "episodes.jsonl", "summary.json")


def pack(part: str, runs: Path) -> Path:
    """Put what a report reads of a part's finished runs into docs/data/study/PART.tar.xz, without local paths.

    What the archive holds of other runs stays in it.
    """
    PACKED.mkdir(parents=True, exist_ok=True)
    archive = PACKED / f"{part}.tar.xz"
    files = {} if not archive.exists() else {str(name): content for name, content in unpacked(archive).items()}
    for file in [*(runs / part).glob("sweep.json"), *(runs / part).glob("*/seed-*/*")]:
        if file.name == "sweep.json" or (file.name in KEPT and _finished(file.parent)):
            content = file.read_bytes().replace(os.fsencode(sys.executable), b"python")
            files[str(file.relative_to(runs))] = content.replace(os.fsencode(runs.resolve()), b"runs")
    with tarfile.open(archive, "w:xz") as tar:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return archive


def unpacked(archive: Path) -> dict[PurePosixPath, bytes]:
    """The files of an archive."""
    with tarfile.open(archive) as tar:
        found = {PurePosixPath(name): tar.extractfile(name) for name in tar.getnames()}
        return {name: file.read() for name, file in found.items() if file is not None}


def _finished(run: Path) -> bool:
    summary = run / "summary.json"
    return summary.exists() and bool(json.loads(summary.read_text())["finished"])


def sweep(runs: Path, width: int) -> None:
    """The ablation: 16 of 32 points, each factor and each pair of factors balanced; goes on where it was."""
    words = ["experiment=ablation", "tracking=off", f"sweep.width={width}", f"hydra.sweep.dir={runs / ABLATION}"]
    command = [sys.executable, "-m", "td3sweep", "--multirun", *words, "hydra.launcher.threads=1"]
    subprocess.run(command, check=True)


def main() -> None:
    """Run what is missing of the parts asked for, and pack them."""
    options = parser(
        "benchmarks.study", __doc__, {**PARTS, ABLATION: []}, runs=Path("runs/study"), out=DATA
    ).parse_args()
    asked, options.table = options.table, [part for part in options.table if part != ABLATION]
    run_asked(options, PARTS)
    if ABLATION in asked:
        sweep(options.runs, options.width)
    for part in asked if options.out == DATA else ():  # runs of one's own are not those that the page is made of
        print(f"packed: {pack(part, options.runs)}")


if __name__ == "__main__":
    main()
