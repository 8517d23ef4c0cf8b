"""The study's page says what its packed runs say: hand-computed figures, verdicts that turn with the numbers."""

import itertools
import json
import math

import pytest

from benchmarks.learning.cells import rows_of
from benchmarks.page import DOCS
from benchmarks.study import page as study_page
from benchmarks.study import parts as study
from benchmarks.study import runs as study_runs
from benchmarks.study.claims import CLAIMS, SYMPTOM
from benchmarks.study.parts import ABLATION
from benchmarks.study.runs import Result

ALARM = {"detector": "d2", "level": "FAIL", "step": 1100, "evidence": "", "cause": ""}
STEPS = range(1025, 2001, 25)


def made(
    cell,
    seed,
    actor,
    own=2.0,
    *,
    part="reproduce",
    norm=1.0,
    cnn_norm=0.9,
    gradient=5.0,
    length=10,
    alarms=(),
    grown=1.0,
):
    """A finished run of 40 rows: the actor's Q leaves the critic's by the fifth power of the updates."""
    rows = [
        {
            "env_step": step, "updates": step - 1000, "phase": "learning",
            "q/actor": actor if step > 1900 else own + (actor - own) * ((step - 1000) / 1000) ** 5,
            "q/q1": own if step > 1100 else own / grown, "q/target": own, "q/gap": abs(actor - own),
            "loss/critic": 2.0, "action/saturation": 0.5, "reward/max": 1.0, "gamma": 0.99,
            **{f"grad/{net}/cnn/after": cnn_norm for net in ("actor", "critic")},
            "grad/actor/joint/after": norm, "grad/critic/joint/after": 10.0, "grad/critic/joint/before": gradient,
        }
        for step in STEPS
    ]  # fmt: skip
    episodes = [
        {"env_step": 1, "phase": "warm-up", "length": 40},
        {"env_step": 2, "phase": "learning", "length": length},
    ]
    summary = {
        "finished": True, "verdict": "diverging" if alarms else "healthy", "alarms": list(alarms),
        "more_steps_help": "no" if alarms else "yes", "evaluation": {"eval/route_fraction": 0.25},
    }  # fmt: skip
    return Result(part, cell, seed, rows, episodes, summary)


def reproduction(**crossed):
    """Two seeds a wiring: the actor's Q is 100 and 400 times the critic's where crossed, equal where not."""
    runs = [
        made("as it ran, crossed", seed, 2 * times, **{"alarms": [ALARM]} | crossed)
        for seed, times in ((0, 100), (1, 400))
    ]
    runs += [made("as it ran, separate", seed, 2.0, length=20) for seed in (0, 1)]
    return [*runs, made("sum of norms", 0, 2.0, part="norms", cnn_norm=2.5)]


def test_finished_runs_come_back_by_cell_and_seed(tmp_path, monkeypatch):
    for module in (study, study_runs):
        monkeypatch.setattr(module, "PACKED", tmp_path / "packed")
    for run in reproduction():
        folder = tmp_path / "runs" / run.part / study_runs.folder_of(run.cell) / f"seed-{run.seed}"
        folder.mkdir(parents=True)
        warmup = {"env_step": 5, "phase": "warm-up"}
        for name, lines in (("metrics", [warmup, *run.rows]), ("episodes", run.episodes)):
            (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (folder / "summary.json").write_text(json.dumps(run.summary))
    for part in ("reproduce", "norms"):
        study.pack(part, tmp_path / "runs")
    found = study_runs.results()
    assert [(run.cell, run.seed, run.overshoot) for run in found] == [
        ("sum of norms", 0, 1.0),
        ("as it ran, crossed", 0, 100.0),
        ("as it ran, crossed", 1, 400.0),
        ("as it ran, separate", 0, 1.0),
        ("as it ran, separate", 1, 1.0),
    ]
    assert (found[1].length, found[1].warmup_length, found[1].failed(["d2"]), found[3].failed(["d2"])) == (
        10,
        40,
        1100,
        None,
    )


def test_a_line_a_wiring():
    crossed, separate = study_page.reproduced(reproduction()).splitlines()[2:]
    # geometric mean of 100 and 400 is 200; their logs' standard error .693 times Student's 12.706 is 8.807
    assert crossed.startswith("| crossed | 2 | 500 (200 to 800) | 2 (2 to 2) | 200 [0.0299, 1,336,530] |")
    assert crossed.endswith("| 2 (2 to 2) | 2 of 2 | 50 | 10, 40 | 2 diverging | 2 no |")
    assert separate.endswith("| 2 (2 to 2) | 0 of 2 | 50 | 20, 40 | 2 healthy | 2 yes |")


def test_norms_as_they_are_and_as_they_were_logged_on_the_same_seeds():
    lines = study_page.norms(reproduction()).splitlines()[2:]
    assert (
        lines[0]
        == "| L2 norm of the set (1 runs) | 0.9, at most 0.9 | 1, at most 1 | 0.9, at most 0.9 | 10, at most 10 |"
    )
    assert lines[1].startswith("| sum of the tensors' norms (1 runs) | 2.5, at most 2.5 |")


def test_what_was_not_run_is_said():
    assert study_page.reproduced([]) == study_page.norms([]) == study_page.ablated([]) == "Not run yet."
    assert {claim.judge([])[0] for claim in CLAIMS if claim.cells} == {"not decided here"}


def verdict_of(says, runs):
    return next(claim.judge(runs)[0] for claim in CLAIMS if claim.says.startswith(says))


def fix(name, *overshoots, **more):
    """A fix's crossed runs with these overshoots, and sound separate ones."""
    runs = [made(f"{name}, crossed", seed, 2.0 * times, part="fixes", **more) for seed, times in enumerate(overshoots)]
    return [*runs, *(made(f"{name}, separate", seed, 2.0, part="fixes", **more) for seed in range(len(overshoots)))]


@pytest.mark.parametrize(
    ("says", "runs", "verdict"),
    [
        ("gradient clipping", reproduction(), "does not hold"),
        ("gradient clipping", reproduction(norm=1.01), "holds"),
        # an ablation's unclipped run is no evidence against the clip
        ("gradient clipping", [*reproduction(), made("clip=off", 0, 2, part=ABLATION, norm=7e8)], "does not hold"),
        ("the critic's Q diverges", reproduction(), "does not hold"),
        ("the critic's Q diverges", reproduction(grown=100.0), "holds"),
        ("the critic's Q diverges", reproduction(own=101.0), "holds"),  # rewards of 1 and gamma .99 allow 100
        ("more steps will not help", reproduction(), "holds"),
        ("more steps will not help", reproduction(alarms=[]), "not decided here"),
        ("a smaller batch stops it", [*reproduction(), *fix("nature, batch 16", 50, 90)], "does not hold"),
        ("a smaller batch stops it", [*reproduction(), *fix("nature, batch 16", 1, 9)], SYMPTOM),
        # what is compared with no explosion cures nothing
        ("max-pooling", [*fix("nature, batch 16", 1, 2), *fix("pooled, batch 16", 1, 2)], "not decided here"),
        ("max-pooling", [*fix("nature, batch 16", 50, 60), *fix("pooled, batch 16", 1, 20)], "does not hold"),
        ("LSTM-256", [*reproduction(), *fix("gru48", 50, 60), *fix("lstm256", 50, 60, gradient=7.0)], "holds"),
        ("LSTM-256", [*reproduction(), *fix("gru48", 50, 60), *fix("lstm256", 50, 60, gradient=4.0)], "does not hold"),
        ("episodes collapse", reproduction(length=10), "holds"),  # to a quarter, and to no less than half if separate
        ("episodes collapse", reproduction(length=39), "does not hold"),
        ("Q grows exponentially", reproduction(), "does not hold"),
    ],
)  # fmt: skip
def test_verdicts_turn_with_the_numbers(says, runs, verdict):
    assert verdict_of(says, runs) == verdict


def test_episodes_collapse_in_part_where_both_wirings_shorten_and_crossed_more():
    runs = [made("as it ran, crossed", seed, 200.0, length=8) for seed in range(6)]
    both = [*runs, *(made("as it ran, separate", seed, 2.0, length=10) for seed in range(6))]
    alone = [*runs, *(made("as it ran, separate", seed, 2.0, length=40) for seed in range(6))]
    assert [verdict_of("episodes collapse", found) for found in (both, alone)] == ["holds in part", "holds"]


def test_main_effects_of_a_balanced_half_table():
    levels = dict.fromkeys("abc", ("low", "high"))
    runs = []
    for a, b in itertools.product((0, 1), repeat=2):
        for c, off in ((a ^ b, 1.0), (1 - (a ^ b), 2.0)):  # whatever c does, some runs are twice as large
            cell = ", ".join(f"{key}={levels[key][level]}" for key, level in zip("abc", (a, b, c), strict=True))
            runs.append(made(cell, 0, 5.0 * 4.0**a * 0.1**b * off, 1.0, part=ABLATION))
    found = study_runs.main_effects(runs, levels)
    # the factor 2 is a's and b's interaction with c: it leaves a and b alone, c's two halves hold it equally, and what
    # is left unexplained has 8 (ln 2 / 2)^2 = .961 over 4 degrees of freedom: standard error sqrt(.240 * 4 / 8) = .347
    reach = math.exp(2.776 * 0.3466)
    for key, value in (("a", 4.0), ("b", 0.1), ("c", 1.0)):
        assert found[key] == pytest.approx((value, value / reach, value * reach), rel=2e-3)


def test_the_sweeps_numbers_go_with_the_return_rank_by_rank():
    rows = [
        {"configuration": number, "point": {"h.up": number, "h.flat": number * 5 % 8}, "evaluations": [[1, number]]}
        for number in range(8)
    ]  # fmt: skip
    up, flat = study_page.swept(rows).splitlines()[2:]
    assert up == "| up | +1.00 | < .001 | 6.5 (6 to 7) |"
    assert flat.startswith("| flat | ")


def test_the_committed_page_is_made_of_the_committed_runs():
    page = (DOCS / "study" / "README.md").read_text()
    found = study_runs.results()
    for text in (study_page.claims, study_page.reproduced, study_page.fixed, study_page.ablated, study_page.norms):
        assert text(found) in page
    assert study_page.swept(rows_of(study_page.SWEPT)) in page
