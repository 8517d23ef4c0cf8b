"""Facts about a run in the files beside its log: discount, warm-up, evaluations."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from td3sweep.errors import UserError
from td3sweep.logs.frame import read_frame
from td3sweep.logs.log import Log, Row, number
from td3sweep.logs.names import EVAL_RETURN

# rl-baselines3-zoo writes its settings as YAML with tags of Python, which a safe loader refuses; d3rlpy, wandb and
# hand-written runs keep plain files.
SETTINGS = ("config.yml", "*/config.yml", "config.yaml", "params.json", "config.json", "hparams.yaml", "args.json")
NUMBER = r"[\"']?\s*[:,\-]?\s*(?:\n\s*-\s*|\s*value:\s*)?(?P<value>[0-9.]+(?:e[+-]?[0-9]+)?)"
DISCOUNT = re.compile(rf"\b(?:gamma|discount)\b{NUMBER}")
WARMUP = re.compile(rf"\b(?:learning_starts|start_steps|start_timesteps|num_seed_frames|warmup_steps)\b{NUMBER}")
EVALUATIONS = ("evaluations.npz", "eval/evaluations.npz")


def facts_beside(log: Log, folder: Path) -> Log:
    """Add to ``log`` what it does not tell itself; the file that told is noted."""
    for file in (file for pattern in SETTINGS for file in sorted(folder.glob(pattern))[:1]):
        try:
            text = file.read_text(errors="replace")
        except OSError:
            continue
        if log.gamma is None and (found := _fact(DISCOUNT, text)) is not None:
            log.gamma = found
            log.notes.append(f"{file.name}: a discount of {found:g}")
        if log.warmup is None and (found := _fact(WARMUP, text)) is not None:
            log.warmup = int(found)
            log.notes.append(f"{file.name}: a warm-up of {found:g} steps")
    _evaluations(log, folder)
    return log


def _fact(pattern: re.Pattern[str], text: str) -> float | None:
    found = pattern.search(text)
    return number(found["value"]) if found else None


def _evaluations(log: Log, folder: Path) -> None:
    """stable-baselines3's EvalCallback keeps its evaluations in a file of their own."""
    file = next((folder / name for name in EVALUATIONS if (folder / name).is_file()), None)
    if file is None:
        return
    try:
        table = read_frame(file)
    except UserError as error:
        log.notes.append(str(error))
        return
    steps, returns = (table.numbers.get(name) for name in ("timesteps", "eval/mean_reward"))
    if steps is None or returns is None:
        return
    evaluated: list[Any] = [
        Row(int(step), {EVAL_RETURN: float(ret)}, "evaluation") for step, ret in zip(steps, returns, strict=True)
    ]
    log.evaluations += evaluated
    log.notes.append(f"{file.name}: {len(evaluated)} evaluations")
