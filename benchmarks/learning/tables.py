"""Does it learn to drive, what matters for that, and does a memory help? ``python -m benchmarks.learning TABLE``.

Each table is a list of cells (`benchmarks/learning/cells.py`), each trained on several seeds and tested on 20 starts
that it never trained on. Finished runs stand in docs/data/learning.jsonl; what is missing there is run, and an
interrupted run goes on. ``--tables`` makes all tables and pictures of docs/learning.md from that file and runs
nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.learning.cells import BEST, Cell, parser, rows_of, run_asked
from benchmarks.learning.former import DRIVE, FEATURES, MEMORY, RACING, RECIPE, WORLD
from benchmarks.page import DOCS, replace_section
from td3sweep.stats import bootstrapped

DATA, PAGE = DOCS / "data/learning.jsonl", DOCS / "learning.md"
PART = [*DRIVE, "steps=3000"]  # learnt in part: where what helps and what hurts still shows
SHORT = [*PART, "precision=bf16"]
ELSEWHERE = {
    "": (),
    "StandInRing": ("env.map=StandInRing",),
    "StandInHighway": ("env.map=StandInHighway",),
    "20 cars": ("env.traffic=20",),
}
BLIND = "env.dark=[1,1]"
WHOLE = {"": ("env.stalled_steps=null",)}  # a test's episodes last as long as CarRacing's do
SIX = [*MEMORY, "recurrent.skip=true", "hyperparams.batch_size=6"]  # windows of ten
RING = ["experiment=memory", *RECIPE, *WORLD, "precision=bf16"]
REMEMBER = ["recurrent.sequence_length=15", "recurrent.burn_in=12", *FEATURES]
LONG = ["env.route_min=250", "env.route_max=350", "env.max_episode_steps=600"]
DARKEST = ("env.dark=[50,20]", *LONG)  # who drives straight on in the dark has left the lane after 17 m
DARK = {
    "": (),
    "all dark 20 m, 250 m": DARKEST,
    "its own task, best evaluation": (BEST,),
    "all dark 20 m, 250 m, best evaluation": (BEST, *DARKEST),
}
BOTH = {"": (), "its own task, best evaluation": (BEST,)}
CARD = ["cnn=pooled", "recurrent=gru48"]
TABLES: dict[str, list[Cell]] = {
    "headline": [
        Cell("cnn=pooled recurrent=gru48", CARD, 10, BOTH, whole=True),
        Cell("cnn=pooled recurrent=none", ["cnn=pooled"], 5, BOTH, whole=True),
        Cell("cnn=pooled recurrent=lstm256", ["cnn=pooled", "recurrent=lstm256"], 5, BOTH, whole=True),
        Cell("cnn=nature recurrent=none", [], 5, BOTH, whole=True),
        Cell("cnn=nature recurrent=gru48", ["recurrent=gru48"], 5, BOTH, whole=True),
        Cell("cnn=nature recurrent=lstm256", ["recurrent=lstm256"], 5, BOTH, whole=True),
    ],
    "shown": [  # what the demonstrations are worth
        Cell("as it is", [], 5, BOTH),
        Cell("cloned alone", ["demonstrations.floor=1"], 5, BOTH),
        Cell("cloning falls to nothing", ["demonstrations.floor=0"], 5, BOTH),
        Cell("shown, not cloned", ["demonstrations.cloning=0"], 5, BOTH),
        Cell("not shown", ["demonstrations=none"], 5, BOTH),
    ],
    "drive": [Cell("experiment=drive", DRIVE, 5, ELSEWHERE)],
    "controls": [
        Cell("untrained", [*DRIVE, "steps=110", "warmup=105", "critic_only_updates=0", "updates_per_step=0"], 3),
        Cell("image blanked", [*DRIVE, BLIND], 3),
        Cell("crossed wiring", [*DRIVE, "wiring=crossed"], 3),
        Cell("way-points, image blanked", [*DRIVE, BLIND, "env.vector=full"], 3),
    ],
    "matters": [
        Cell("as it is", SHORT, 10),
        Cell("no trunk", [*SHORT, "trunk=null"], 5),
        Cell("no penalty", [*SHORT, "pre_tanh_penalty=0"], 5),
        Cell("usual last layer", [*SHORT, "actor_init_scale=1"], 5),
        Cell("LayerNorm on features", [*SHORT, "feature_norm=layernorm"], 5),
        Cell("joint clip", [*SHORT, "clip=joint"], 5),
        Cell("random shift", [*SHORT, "aug=shift4"], 5),
        Cell("n_step=1", [*SHORT, "n_step=1"], 5),
        Cell("gamma=.99", [*SHORT, "hyperparams.gamma=.99"], 5),
        Cell("tau=.005", [*SHORT, "hyperparams.tau=.005"], 5),
        Cell("fp32", PART, 10),
        Cell("cnn=pooled", [*SHORT, "cnn=pooled"], 5),
    ],
    "encoders": [  # 1,600 updates each
        Cell("nature", [*DRIVE, "steps=2300"], 3),
        Cell("gru48", [*DRIVE, "steps=2300", "recurrent=gru48", *SIX], 3),
        Cell("lstm256", [*DRIVE, "steps=2300", "recurrent=lstm256", *SIX], 3),
    ],
    "memory": [
        Cell("none", RING, 3, DARK),
        Cell("gru48", [*RING, "recurrent=gru48", *REMEMBER], 3, DARK),
        Cell("lstm256", [*RING, "recurrent=lstm256", *REMEMBER], 3, DARK),
        Cell("gru48, zero state", [*RING, "recurrent=gru48", *REMEMBER, "recurrent.stored_state=false"], 3, DARK),
        Cell("gru48, no burn-in", [*RING, "recurrent=gru48", *REMEMBER, "recurrent.burn_in=0"], 3, DARK),
    ],
    "racing": [Cell("experiment=racing", RACING, 3, WHOLE)],
}


@dataclass(frozen=True)
class Measure:
    """What a table tells of every seed: a key of a test, its title, and the place of a like one in a curve's points."""

    key: str
    title: str
    factor: float
    place: int
    axis: str


ROUTES = Measure("success", "success by seed, %", 100.0, 2, "route driven in evaluations, %")
RETURNS = Measure("return", "return by seed", 1.0, 3, "return in evaluations")
MEASURES = {"racing": RETURNS}  # of the other tables: ROUTES


def table(rows: Sequence[Mapping[str, Any]], cells: Sequence[Cell], measure: Measure = ROUTES) -> str:
    """Markdown: a line for each cell and test, the seeds' values one by one."""
    routes = measure is ROUTES
    titles = ["run", "tested on", measure.title, "mean [95 %]", *(["route, %", "speed, m/s"] if routes else [])]
    titles += ["minutes", "verdicts"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for cell in cells:
        mine = sorted((row for row in rows if row["cell"] == cell.name), key=lambda row: row["seed"])
        for label in [label for label in cell.tests if any(label in row["tests"] for row in mine)]:
            tests = [row["tests"][label] for row in mine if label in row["tests"]]
            values = [measure.factor * test[measure.key] for test in tests]
            words = ["" if label else cell.name, label or "its own task"]
            words += [" ".join(f"{value:.0f}" for value in values), _mean(values)]
            if routes:
                words.append(_mean([100.0 * test["route_completion"] for test in tests]))
                words.append(f"{np.mean([test['speed'] for test in tests]):.1f}")
            words.append("" if label else f"{np.mean([row['minutes'] for row in mine]):.1f}")
            words.append("" if label else _verdicts(mine))
            lines.append(f"| {' | '.join(words)} |")
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> str:
    found = bootstrapped(values, [0] * len(values), lambda drawn, axis: np.mean(drawn, axis=axis))
    return f"{found.value:.0f}" if found.low is None else f"{found.value:.0f} [{found.low:.0f}, {found.high:.0f}]"


def _verdicts(rows: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{count} {name}" for name, count in Counter(row["verdict"] for row in rows).items())


def write_page() -> None:
    """Put every table into the page, and its curves beside it."""
    rows = rows_of(DATA)
    for name, cells in TABLES.items():
        mine = [row for row in rows if row["table"] == name]
        if mine:
            measure = MEASURES.get(name, ROUTES)
            text = table(mine, cells, measure)
            shown = [cell for cell in cells if any(len(row["curve"]) > 1 for row in mine if row["cell"] == cell.name)]
            if shown:  # what has not learnt has no curve
                draw(mine, shown, DOCS / f"learning_{name}.png", measure)
                about = measure.axis.partition(",")[0].capitalize()
                text += f"\n\n![{about} of each run, over its steps](learning_{name}.png)"
            replace_section(name, text, PAGE)


def draw(rows: Sequence[Mapping[str, Any]], cells: Sequence[Cell], path: Path, measure: Measure = ROUTES) -> None:
    """The measure in the evaluations of each run over its steps, a panel for each cell."""
    from matplotlib.figure import Figure

    across = min(4, len(cells))
    down = -(-len(cells) // across)
    figure = Figure(figsize=(3.0 * across, 2.2 * down), layout="constrained")
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    for panel, cell in zip(panels, cells, strict=False):
        for row in rows:
            if row["cell"] == cell.name:
                points = np.array([[point[0], point[measure.place]] for point in row["curve"]], float)
                panel.plot(points[:, 0], measure.factor * points[:, 1], color="#0072b2", alpha=0.7, linewidth=1.2)
        panel.set_title(cell.name, fontsize=9)
        if measure is ROUTES:
            panel.set_ylim(-3, 103)
        panel.tick_params(labelsize=8)
    for panel in panels[len(cells) :]:
        panel.set_visible(False)
    figure.supxlabel("environment steps", fontsize=9)
    figure.supylabel(measure.axis, fontsize=9)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Run what is missing, or only write the page."""
    command = parser("benchmarks.learning", __doc__, TABLES, runs=Path("runs/learning"), out=DATA)
    command.add_argument("--tables", action="store_true", help="write docs/learning.md from what has been run")
    options = command.parse_args()
    run_asked(options, TABLES)
    if options.tables:
        write_page()


if __name__ == "__main__":
    main()
