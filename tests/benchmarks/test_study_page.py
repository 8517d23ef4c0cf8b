"""The study's page says what its packed runs say: hand-computed figures, verdicts that turn with the numbers."""

import itertools
import json
import math

import pytest

from benchmarks import study, study_page, study_runs
from benchmarks.page import DOCS
from benchmarks.study_claims import CLAIMS

ALARM = {"detector": "d2", "level": "FAIL", "step": 1100, "evidence": "", "cause": ""}


def make_run(folder, actor, own, *, norm=1.0, cnn_norm=0.9, lengths=(40, 10), alarms=()):
    """A finished run of five rows whose last four have the given values, and two episodes a phase."""
    folder.mkdir(parents=True)
    rows = [
        {
            "env_step": 1000 + 25 * number, "updates": 25 * number, "phase": "learning",
            "q/actor": actor if number > 1 else 1.0, "q/q1": own, "q/target": own, "q/gap": abs(actor - own),
            "loss/critic": 2.0, "action/saturation": 0.5,
            **{f"grad/{net}/cnn/after": cnn_norm for net in ("actor", "critic")},
            "grad/actor/joint/after": norm, "grad/critic/joint/after": 10.0,
        }
        for number in range(1, 6)
    ]  # fmt: skip
    episodes = [
        {"env_step": step, "phase": phase, "length": length}
        for phase, length in (("warm-up", lengths[0]), ("learning", lengths[1]))
        for step in (1, 2)
    ]
    summary = {
        "verdict": "diverging" if alarms else "healthy", "alarms": list(alarms), "growth": {"model": "exponential"},
        "more_steps_help": "no" if alarms else "yes", "evaluation": {"eval/route_fraction": 0.25},
    }  # fmt: skip
    for name, lines in (("metrics", [{"env_step": 5, "phase": "warm-up"}, *rows]), ("episodes", episodes)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "summary.json").write_text(json.dumps(summary))


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two seeds a wiring: the actor's Q is 100 and 400 times the critic's where crossed, equal where not."""
    monkeypatch.setattr(study, "PACKED", tmp_path / "packed")
    monkeypatch.setattr(study_runs, "PACKED", tmp_path / "packed")

    def made(**crossed):
        for seed, times in ((0, 100.0), (1, 400.0)):
            at = tmp_path / "runs" / "reproduce"
            make_run(at / "as-it-ran-crossed" / f"seed-{seed}", 2 * times, 2.0, alarms=[ALARM], **crossed)
            make_run(at / "as-it-ran-separate" / f"seed-{seed}", 2.0, 2.0, lengths=(40, 20))
        make_run(tmp_path / "runs" / "norms" / "sum-of-norms" / "seed-0", 2.0, 2.0, cnn_norm=2.5)
        (tmp_path / "runs" / "norms" / "sum-of-norms" / "seed-1").mkdir()  # still runs
        for part in ("reproduce", "norms"):
            study.pack(part, tmp_path / "runs")
        return study_runs.results()

    return made


def test_finished_runs_come_back_by_cell_and_seed(runs):
    assert [(run.cell, run.seed, run.overshoot) for run in runs()] == [
        ("sum of norms", 0, 1.0),
        ("as it ran, crossed", 0, 100.0),
        ("as it ran, crossed", 1, 400.0),
        ("as it ran, separate", 0, 1.0),
        ("as it ran, separate", 1, 1.0),
    ]


def test_a_line_a_wiring(runs):
    crossed, separate = study_page.reproduced(runs()).splitlines()[2:]
    # geometric mean of 100 and 400 is 200; their logs' standard error .693 times Student's 12.706 is 8.807
    assert crossed.startswith("| crossed | 2 | 500 (200 to 800) | 2 (2 to 2) | 200 [0.0299, 1,336,530] |")
    assert crossed.endswith("| 2 (2 to 2) | 2 of 2 | 50 | 10, 40 | 2 diverging | 2 no |")
    assert separate.endswith("| 2 (2 to 2) | 0 of 2 | 50 | 20, 40 | 2 healthy | 2 yes |")


def test_norms_as_they_are_and_as_they_were_logged(runs):
    lines = study_page.norms(runs()).splitlines()[2:]
    assert (
        lines[0]
        == "| L2 norm of the set (2 runs) | 0.9, at most 0.9 | 1, at most 1 | 0.9, at most 0.9 | 10, at most 10 |"
    )
    assert lines[1].startswith("| sum of the tensors' norms (1 runs) | 2.5, at most 2.5 |")


def verdict_of(says, runs):
    return next(claim.judge(runs)[0] for claim in CLAIMS if claim.says.startswith(says))


def test_verdicts_turn_with_the_numbers(runs):
    found = runs(norm=1.0)
    assert verdict_of("gradient clipping is broken", found) == "does not hold"
    assert verdict_of("so the critic", found) == "does not hold"
    assert verdict_of("more steps will not help", found) == "holds"
    assert verdict_of("mending the clip", found) == "not decided here"  # none of its runs is there


def test_a_norm_above_its_limit_is_told(runs):
    assert verdict_of("gradient clipping is broken", runs(norm=1.01)) == "holds in part"


def test_main_effects_of_a_balanced_half_table():
    levels = dict.fromkeys("abc", ("low", "high"))
    runs = []
    for a, b in itertools.product((0, 1), repeat=2):
        for c, off in ((a ^ b, 1.0), (1 - (a ^ b), 2.0)):  # whatever c does, some runs are twice as large
            cell = ", ".join(f"{key}={levels[key][level]}" for key, level in zip("abc", (a, b, c), strict=True))
            row = {"env_step": 1, "q/actor": 5.0 * 4.0**a * 0.1**b * off, "q/q1": 1.0}
            runs.append(study_runs.Result("ablation", cell, 0, [row], [], {}))
    found = study_runs.main_effects(runs, levels)
    # the factor 2 is a's and b's interaction with c: it leaves a and b alone, c's two halves hold it equally, and what
    # is left unexplained has 8 (ln 2 / 2)^2 = .961 over 4 degrees of freedom: standard error sqrt(.240 * 4 / 8) = .347
    reach = math.exp(2.776 * 0.3466)
    for key, value in (("a", 4.0), ("b", 0.1), ("c", 1.0)):
        assert found[key] == pytest.approx((value, value / reach, value * reach), rel=2e-3)


def test_the_committed_page_is_made_of_the_committed_runs():
    page = (DOCS / "study" / "README.md").read_text()
    found = study_runs.results()
    for text in (study_page.claims, study_page.reproduced, study_page.fixed, study_page.ablated, study_page.norms):
        assert text(found) in page
