"""`python -m td3sweep.doctor`: table, JSON and exit codes; no simulator is started."""

import json
import subprocess
import sys

import pytest

from td3sweep.doctor.__main__ import main


def doctor(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    captured = capsys.readouterr()
    return left.value.code, captured.out, captured.err


@pytest.fixture(autouse=True)
def _no_simulator(monkeypatch):
    def refuse(*_):
        raise AssertionError("an environment was started")

    monkeypatch.setattr("td3sweep.envs.carla.env.CarlaDriveEnv.start", refuse)


def test_a_healthy_configuration_exits_0(capsys):
    code, out, err = doctor(capsys)
    assert (code, err) == (0, "")
    for heading in ("clip before", "crossed features", "healthy"):
        assert heading in out


def test_json_is_the_contracts(capsys):
    code, out, _ = doctor(capsys, "--json", "wiring=crossed", "recurrent=gru48")
    found = json.loads(out)
    assert code == 3
    assert found["healthy"] is False
    holds = {name: hypothesis["holds"] for name, hypothesis in found["hypotheses"].items()}
    assert [name for name in holds if name.startswith("H")] == ["H1", "H2", "H3", "H4", "H5", "H6"]
    assert [name for name, it in holds.items() if it] == ["H6"]
    assert all(hypothesis["evidence"] for hypothesis in found["hypotheses"].values())


def test_rates_of_the_cnns_are_compared_with_their_own(capsys):
    code, out, _ = doctor(capsys, "--json", "hyperparams=as_ran", "fault=lr_x100")
    evidence = json.loads(out)["hypotheses"]["learning_rate"]["evidence"]
    assert code == 3
    assert "critic/cnn 0.01 (asked 0.0001, x100)" in evidence
    assert "actor/cnn 0.001 (asked 1e-05, x100)" in evidence
    assert doctor(capsys, "hyperparams=as_ran")[0] == 0


def test_gym_is_asked_for_its_sizes_only(capsys):
    code, out, _ = doctor(capsys, "env=gym", "reward=none", "--json")
    assert (code, json.loads(out)["healthy"]) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["fault=h9"], ["fault=h9", "sum_of_norms"]),
        (["cnn=pooling"], ["cnn=pooling", "nature, pooled"]),
        (["cnn=null"], ["config group", "null"]),
        (["fautl=h1"], ["fautl", "did you mean fault?"]),
        (["steps=["], ["key=value"]),
        (["fault=h1", "clip=off"], ["fault=h1", "clip=off"]),
        (["fault=h6", "wiring=critic_only"], ["fault=h6", "critic_only"]),
        (["--bogus"], ["--bogus", "--help"]),
    ],
)
def test_what_cannot_be_audited_is_refused_in_one_line(capsys, arguments, parts):
    code, out, err = doctor(capsys, *arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert all(part in err for part in parts)


@pytest.mark.slow
def test_as_a_process():
    command = [sys.executable, "-m", "td3sweep.doctor", "fault=h5", "clip=joint"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    assert done.stderr == ""
    assert "wiring audit: H5" in done.stdout


def test_the_core_needs_torch_alone():
    heavy = "[m for m in ('hydra', 'omegaconf', 'carla', 'wandb', 'gymnasium', 'rich') if m in sys.modules]"
    code = f"import sys, td3sweep.doctor; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
