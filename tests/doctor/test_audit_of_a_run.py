"""Every training run is audited first: D0 stops it at once, unless the fault was asked for by name."""

import pytest
from toy_env import DotEnv

from td3sweep.doctor.injected import inject
from td3sweep.training import build as assemble
from td3sweep.training import run as run_module
from td3sweep.training.run import run

QUICK = (
    "env=gym", "reward=none", "steps=40", "warmup=20", "hyperparams.batch_size=8", "log_every=5", "eval_episodes=1",
    "tracking=off", "replay.capacity=500", "threads=1", "precision=fp32",
)  # fmt: skip


@pytest.fixture
def start(settings, changed, monkeypatch, tmp_path):
    """Run in a toy environment, with faults that nobody asked for, and D0 among those that may stop."""
    monkeypatch.setattr(run_module, "build_env", lambda *_: DotEnv())

    def go(*overrides, unasked=()):
        build = assemble.build_agent

        def faulty(*arguments):
            agent = build(*arguments)
            for fault in unasked:
                inject(agent, fault)
            return agent

        chosen = changed(settings(*QUICK, *overrides), monitor__stop_on=["nonfinite", "d0"])
        with monkeypatch.context() as patch:
            patch.setattr(assemble, "build_agent", faulty)
            return run(chosen, tmp_path / "run")

    return go


def d0(outcome):
    return [alarm["evidence"][:2] for alarm in outcome.summary["alarms"] if alarm["detector"] == "d0"]


def test_a_healthy_run_says_so_and_trains(start, capsys):
    outcome = start("monitor=stop")
    assert (outcome.exit_code, outcome.summary["env_steps"], d0(outcome)) == (0, 40, [])
    assert "wiring audit: healthy" in capsys.readouterr().out


def test_a_fault_that_nobody_asked_for_stops_before_the_first_step(start, capsys):
    outcome = start("monitor=stop", unasked=["h4"])
    assert (outcome.exit_code, outcome.summary["env_steps"], outcome.summary["updates"]) == (3, 0, 0)
    assert outcome.summary["verdict"] == "faulty wiring"
    assert outcome.summary["first_alarm_step"] == 0
    assert d0(outcome) == ["H4"]
    assert list((outcome.directory / "checkpoints").glob("*.pt"))
    assert "FAIL d0 at step 0: H4" in capsys.readouterr().out


def test_monitor_warn_reports_and_goes_on(start):
    outcome = start("monitor=warn", unasked=["h4"])
    assert (outcome.exit_code, outcome.summary["env_steps"], d0(outcome)) == (0, 40, ["H4"])


@pytest.mark.parametrize(("asked", "name"), [("wiring=crossed", "H6"), ("fault=h4", "H4")])
def test_a_fault_asked_for_by_name_is_recorded_and_goes_on(start, capsys, asked, name):
    outcome = start("monitor=stop", asked)
    assert (outcome.exit_code, outcome.summary["env_steps"], d0(outcome)) == (0, 40, [name])
    assert outcome.summary["verdict"] == "faulty wiring"
    assert "asked for by name, so the run goes on" in capsys.readouterr().out


def test_a_second_fault_beside_the_one_asked_for_stops(start):
    outcome = start("monitor=stop", "fault=h4", unasked=["h6"])
    assert (outcome.exit_code, outcome.summary["env_steps"]) == (3, 0)
    assert sorted(d0(outcome)) == ["H4", "H6"]


def test_every_output_of_a_faulted_run_says_so(start, capsys):
    outcome = start("fault=sum_of_norms")
    out = capsys.readouterr().out
    assert "fault=sum_of_norms << put in on purpose" in out
    assert "say nothing about a correct run" in out
    assert outcome.summary["fault"] == "sum_of_norms"
    assert "sum_of_norms" in (outcome.directory / "console.log").read_text()
    assert "fault: sum_of_norms" in (outcome.directory / "config.yaml").read_text()


def test_monitor_off_audits_nothing(start, capsys):
    start("monitor=off", unasked=["h4"])
    assert "wiring audit" not in capsys.readouterr().out


def test_the_audit_changes_nothing_in_the_training(start, tmp_path):
    """The same run with and without an audit writes the same losses."""
    rows = []
    for monitor in ("warn", "off"):
        outcome = start(f"monitor={monitor}")
        kept = outcome.directory.rename(tmp_path / monitor)
        lines = (kept / "metrics.jsonl").read_text().splitlines()
        rows.append([line.partition('"loss/critic": ')[2].partition(",")[0] for line in lines if "loss/critic" in line])
    assert rows[0] == rows[1]
    assert rows[0]


@pytest.mark.slow
def test_a_resumed_run_is_audited_again_and_goes_on(start):
    assert start("monitor=stop", "fault=h4").summary["env_steps"] == 40
    outcome = start("monitor=stop", "fault=h4", "steps=60")
    assert (outcome.exit_code, outcome.summary["env_steps"], d0(outcome)) == (0, 60, ["H4"])
