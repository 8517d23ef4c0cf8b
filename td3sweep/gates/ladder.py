"""One run, gate after gate: train to it, judge, write down, and go on only if it passed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from td3sweep.config.settings import Settings
from td3sweep.files import read_json, write_atomically
from td3sweep.gates.rules import UNKNOWN, Evidence, GateFinding, judge, stops
from td3sweep.logs.log import EVALUATION, LEARNING
from td3sweep.logs.names import EVAL_RETURN
from td3sweep.logs.rundir import read_run_directory
from td3sweep.record.metrics import finite
from td3sweep.record.rundir import RunDirectory
from td3sweep.training.run import Outcome

RECORD = "gates.json"
OPEN, PASSED, FAILED = "open", "passed", "failed"


@dataclass(frozen=True)
class GateJudgement:
    """What became of one gate.

    Attributes:
        gate: environment step that the run was to come to.
        step: environment step at which it was judged.
        verdict: the monitor's.
        findings: rule by rule.
        before: read from ``gates.json``, not judged in this session.
    """

    gate: int
    step: int
    verdict: str
    findings: tuple[GateFinding, ...]
    before: bool = False

    @property
    def passed(self) -> bool:
        """Whether the run may go on."""
        return not self.stopping

    @property
    def stopping(self) -> list[GateFinding]:
        """The rules that keep it from going on."""
        return [finding for finding in self.findings if stops(finding)]

    @property
    def unknown(self) -> list[GateFinding]:
        """The rules that could not be judged yet, and do not have to be."""
        return [finding for finding in self.findings if finding.outcome == UNKNOWN and not stops(finding)]

    def as_dict(self) -> dict[str, Any]:
        """As in ``gates.json``."""
        return {
            "gate": self.gate,
            "step": self.step,
            "outcome": PASSED if self.passed else FAILED,
            "verdict": self.verdict,
            "rules": [finite(finding.as_dict()) for finding in self.findings],
        }


class Train(Protocol):
    """What trains: :func:`td3sweep.training.run.run`."""

    def __call__(self, settings: Settings, path: Path, /, *, horizon: int) -> Outcome: ...


@dataclass(frozen=True)
class Climb:
    """How far a run came: its judgements in order, and the exit code of a signal that ended the session."""

    judged: tuple[GateJudgement, ...]
    signalled: int | None = None

    @property
    def failed(self) -> GateJudgement | None:
        """The gate that failed, if one did: always the last judged."""
        return next((one for one in self.judged if not one.passed), None)


def climb(
    settings: Settings,
    gates: Sequence[int],
    path: Path,
    train: Train,
    tell: Callable[[GateJudgement], None],
) -> Climb:
    """Train in ``path`` to each of ``gates`` in turn, until one fails. Gates judged before are read, not judged anew.

    Args:
        settings: of the run; its ``steps`` become each gate's.
        gates: ascending environment steps.
        path: the run's directory.
        train: :func:`td3sweep.training.run.run`; the schedules of a run that begins here fall until the last gate.
        tell: hears every judgement, old and new.

    Raises:
        UserError, SimulatorError: as ``train``.
    """
    RunDirectory(path).agree(replace(settings, steps=1))  # whether it can go on is asked where a gate needs it
    before = _read(path)
    judged: list[GateJudgement] = []
    for gate in gates:
        judgement = before.get(gate)
        if judgement is None:
            outcome = train(replace(settings, steps=gate), path, horizon=gates[-1])
            if outcome.interrupted:
                return Climb(tuple(judged), outcome.exit_code)
            judgement = _judge(gate, path)
        judged.append(judgement)
        if not judgement.before:
            _write(path, gates, [*before.values(), *(one for one in judged if not one.before)])
        tell(judgement)
        if not judgement.passed:
            break
    return Climb(tuple(judged))


def _judge(gate: int, path: Path) -> GateJudgement:
    """Judge the run in ``path`` by what it left there."""
    log = read_run_directory(path)
    summary = read_json(RunDirectory(path).summary)
    evidence = Evidence(
        gate,
        summary,
        rows=[row.values for row in log.rows if row.phase != EVALUATION and "q/actor" in row.values],
        evaluations=[(row.step, row.values[EVAL_RETURN]) for row in log.rows if EVAL_RETURN in row.values],
        episodes=sum(episode.phase == LEARNING for episode in log.episodes),
        clip=log.clip,
    )
    return GateJudgement(gate, int(summary["env_steps"]), str(summary["verdict"]), tuple(judge(evidence)))


def _read(path: Path) -> dict[int, GateJudgement]:
    """What was judged in earlier sessions, by gate; nothing where the run itself is gone."""
    run = RunDirectory(path)
    steps = read_json(run.summary).get("env_steps", 0)
    found = read_json(path / RECORD).get("judged", [])
    kept = [one for one in found if one["step"] <= steps]
    return {
        one["gate"]: GateJudgement(
            one["gate"], one["step"], one["verdict"], tuple(GateFinding(**rule) for rule in one["rules"]), before=True
        )
        for one in kept
    }


def _write(path: Path, gates: Sequence[int], judged: Sequence[GateJudgement]) -> None:
    """``gates.json`` beside ``summary.json``."""
    ordered = sorted(judged, key=lambda one: one.gate)
    asked = {one.gate: one.passed for one in ordered if one.gate in gates}
    outcome = FAILED if not all(asked.values()) else PASSED if len(asked) == len(gates) else OPEN
    record = {
        "outcome": outcome,
        "gates": list(gates),
        "judged": [one.as_dict() for one in ordered],
    }
    write_atomically(path / RECORD, json.dumps(record, indent=2) + "\n")
