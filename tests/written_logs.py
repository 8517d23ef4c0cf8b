"""Logs made for tests."""

import json

PEAK = 1.8e6 / (5000 - 625) ** 5.95  # so that the actor's Q is 1.8 million at step 5,000


def described_row(step):
    """The described system's Qs at a step: the actor's explodes, the critic's own stays."""
    actor = PEAK * (step - 625) ** 5.95 if step >= 1100 else 15.0
    return {"q/actor": actor, "q/q1": 15.5, "q/target": 15.0, "q/target_sd": 3.0}


def described_rows(every=100, first=1000, last=5000):
    """``[(step, row)]`` of the described run's learning phase."""
    return [(step, described_row(step)) for step in range(first, last + 1, every)]


def run_directory(path, rows=(), episodes=(), config="hyperparams: {gamma: 0.99}\nclip: {name: joint}\n"):
    """A run directory of ours."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.yaml").write_text(config)
    write_lines(path / "metrics.jsonl", ({"env_step": step, "phase": "learning", **row} for step, row in rows))
    write_lines(path / "episodes.jsonl", episodes)
    return path


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
