"""The last lines of a run: how it drove, who showed it, what to type next."""

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from td3sweep.record.console import banner, closing, how_it_drove, more_steps, typed_python, what_next, who_showed_it

FOUND = {"eval/success": 0.9, "eval/return": 640.0, "eval/length": 180.0, "eval/episodes": 10.0}
SUMMARY = {
    "evaluation": FOUND, "evaluated_at": 1400, "best_at": 1400, "best_return": 640.0, "best_success": 0.9,
    "ended": "finished", "verdict": "healthy", "evidence": [], "more_steps_help": "not yet known", "why": "few",
}  # fmt: skip


def told(settings, summary, tmp_path, film=True):
    path = tmp_path / "film.png"
    if film:
        path.touch()
    recorder = SimpleNamespace(film_path=path, seconds_per=lambda what: 0.05)
    outcome = SimpleNamespace(summary=summary, directory=Path("runs/x"), line="run=runs/x verdict=healthy")
    console = Console(file=io.StringIO(), width=200)
    closing(console, settings, SimpleNamespace(recorder=recorder), outcome)
    return console.file.getvalue().splitlines()


def test_a_newcomer_is_told_how_it_drove_where_to_look_and_what_to_type(settings, tmp_path):
    lines = told(settings(), SUMMARY, tmp_path)
    assert lines[0] == "the policy drove 9 of 10 evaluation starts to the end, return 640.00 (step 1400)"
    assert lines[1].startswith("it was shown how: 850 steps of the route's PID baseline in the warm-up")
    assert lines[2] == f"what it saw and where it drove: {tmp_path / 'film.png'}"
    assert lines[3].startswith("verdict: healthy")
    assert lines[-2].startswith(f"next: {typed_python()} -m td3sweep.evaluate runs/x   # 20 starts that it never saw")
    assert lines[-2].endswith("about 3:00")  # 20 episodes of 180 steps of .05 s
    assert lines[-1] == "run=runs/x verdict=healthy"
    assert not any("described_5k" in line for line in lines)


def test_a_film_that_was_not_made_is_not_promised(settings, tmp_path):
    assert not any("what it saw" in line for line in told(settings(), SUMMARY, tmp_path, film=False))


def test_the_best_weights_are_told_beside_the_last(settings):
    lines = how_it_drove(settings(), SUMMARY | {"best_at": 1200, "best_return": 650.0, "best_success": 1.0})
    assert lines[1] == (
        "its best weights drove 10 of 10 evaluation starts to the end, return 650.00 (step 1200): checkpoints/best.pt"
    )
    assert len(how_it_drove(settings(), SUMMARY)) == 1


def test_where_there_are_no_routes_the_return_is_told(settings):
    assert how_it_drove(settings("env=gym"), SUMMARY) == ["the policy got return 640.00 (step 1400)"]


def test_who_learnt_from_rewards_alone_was_shown_nothing(settings):
    assert who_showed_it(settings("demonstrations=none")) == []


@pytest.mark.parametrize(
    ("change", "begins"),
    [
        ({}, "me -m td3sweep.evaluate runs/x "),
        ({"evaluation": FOUND | {"eval/success": 0.4}}, "me -m td3sweep.diagnose runs/x "),
        ({"ended": "interrupted"}, "me -m td3sweep cnn=pooled seed=3 hydra.run.dir=runs/x   # goes on"),
        ({"evaluation": {}}, "me -m td3sweep cnn=pooled seed=3 hydra.run.dir=runs/x   # goes on"),
    ],
)
def test_what_comes_next_goes_by_how_it_ended(change, begins, monkeypatch):
    monkeypatch.setattr("td3sweep.record.console.typed_python", lambda: "me")
    typed = ["python", "-m", "td3sweep", "cnn=pooled", "hydra.run.dir=elsewhere", "seed=3", "resume=last"]
    monkeypatch.setattr("sys.orig_argv", typed)
    assert what_next(SUMMARY | change, Path("runs/x"), 0.05).startswith(begins)


@pytest.mark.parametrize("typed", [["-m", "td3sweep.gates", "--dir", "runs/x"], ["my_script.py"]])
def test_another_programs_run_goes_on_by_that_program(typed, monkeypatch):
    monkeypatch.setattr("sys.orig_argv", ["python", *typed])
    said = what_next(SUMMARY | {"ended": "interrupted"}, Path("runs/x"), 0.05)
    assert said == "the same command, in runs/x, goes on"


def test_this_python_is_named_as_it_is_typed(monkeypatch, tmp_path):
    mine = tmp_path / ".venv/bin/python"
    mine.parent.mkdir(parents=True)
    mine.touch(mode=0o755)
    monkeypatch.setattr("sys.executable", str(mine))
    monkeypatch.chdir(tmp_path)
    assert typed_python() == ".venv/bin/python"
    monkeypatch.setenv("PATH", str(mine.parent))
    assert typed_python() == "python"
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir("/")
    assert typed_python() == str(mine).removeprefix("/")


def test_an_interrupted_run_says_where_it_stands(settings):
    told = how_it_drove(settings(), SUMMARY | {"ended": "interrupted", "env_steps": 1136})
    assert told == ["interrupted at step 1136 of 1400, and saved"]


def test_who_drives_everywhere_is_not_told_that_it_is_not_known_whether_more_steps_help(settings):
    assert more_steps(settings(), SUMMARY) == "not yet known: few"
    whole = SUMMARY | {"evaluation": FOUND | {"eval/success": 1.0}}
    assert more_steps(settings(), whole) == "it drives all of its evaluation starts already"
    assert more_steps(settings(), whole | {"verdict": "diverging"}) == "not yet known: few"


def test_the_banner_says_that_it_is_shown_how(settings, tmp_path):
    console = Console(file=io.StringIO(), width=200)
    banner(console, settings(), tmp_path)
    assert "it is shown how: 850 steps of the route's PID baseline" in console.file.getvalue()
