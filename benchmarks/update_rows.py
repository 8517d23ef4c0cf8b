"""Rows of the update: against the peers, against the naive form, against the machine's peak, and on a GPU."""

from __future__ import annotations

import importlib.util
from functools import partial
from importlib import metadata

import torch

from benchmarks.blocks import Contestant, interleaved, one_core
from benchmarks.learners import (
    BATCH,
    EPISODE,
    STORED,
    STORED_BY_PEERS,
    our_agent,
    our_replay,
    ours,
    sb3,
    tianshou,
)
from benchmarks.macs import peak, update_macs
from benchmarks.rows import Goal, Row
from benchmarks.sections import QUICK, Size, Told, share_row, speed_row
from benchmarks.textbook import TextbookTD3, textbook

SB3_NOTE = (
    f"both draw their batch of {BATCH} from their own replay and train on it; ours also clips and measures gradients, "
    "theirs reads its losses back"
)
TIANSHOU_NOTE = (
    "draws its batch from its own replay, next observations by a second look; its second critic has an encoder of its "
    "own, so it does about 1.5 times the work"
)
NAIVE_NOTE = (
    "benchmarks/textbook.py: fp32, channels first, pooled behind the activation, actor loss through the critic's "
    "encoder, plain Adam, soft update tensor by tensor; a batch at hand, while ours draws its own"
)
PEAK_NOTE = "MACs of an update by the formula of benchmarks/macs.py; the peak is the best of several 3x3 convolutions"
SAMPLING_NOTE = f"uniform, {BATCH} of {STORED:,} stored transitions in episodes of {EPISODE}"


def installed(package: str) -> str:
    """Why ``package`` cannot be measured; empty if it can."""
    if importlib.util.find_spec(package):
        return ""
    return f"{package} is not installed: pip install -e '.[benchmarks]'"


def nature(size: Size, told: Told) -> list[Row]:
    """Ours in both precisions, the peers and the peak, interleaved."""
    replay = our_replay(STORED if size is not QUICK else STORED_BY_PEERS)
    agents = {name: our_agent("nature", name) for name in ("fp32", "bf16")}
    absent = {name: installed(name) for name in ("stable_baselines3", "tianshou")}
    contestants: list[Contestant] = [ours(name, agent, replay, size.updates) for name, agent in agents.items()]
    contestants += [peak("peak fp32", torch.float32), peak("peak bf16", torch.bfloat16)]
    if not absent["stable_baselines3"]:
        contestants.append(sb3("stable_baselines3", size.updates))
    if not absent["tianshou"]:
        contestants.append(tianshou("tianshou", size.updates))
    with one_core():
        seconds = interleaved(contestants, size.blocks, _ticks(size.blocks, told))
    rows = []
    for peer, note, goals in (
        ("stable_baselines3", SB3_NOTE, {"fp32": Goal("ratio", ">=", 1.2, 1.4), "bf16": Goal("ratio", ">=", 2.2, 2.8)}),
        ("tianshou", TIANSHOU_NOTE, {}),
    ):
        for precision in agents:
            name, goal = f"nature update, {precision}, against {peer}", goals.get(precision)
            if absent[peer]:
                rows.append(Row(name, goal=goal, skipped=absent[peer]))
            else:
                against = f"{peer} {metadata.version(peer)}"
                rows.append(speed_row(name, seconds[precision], seconds[peer], against, goal, note))
    macs = update_macs(agents["fp32"], BATCH)
    rows.append(_share("nature", "fp32", macs, seconds, None))
    rows.append(_share("nature", "bf16", macs, seconds, Goal("ratio", ">=", 0.5, 0.65)))
    rows.append(
        share_row(
            "sampling's share of an update, nature bf16",
            "ms",
            *([1000 * value for value in seconds[f"bf16{part}"]] for part in ("/sample", "")),
            "an update",
            Goal("ratio", "<=", 0.03),
            SAMPLING_NOTE,
        )
    )
    return rows


def pooled(size: Size, told: Told) -> list[Row]:
    """Ours in bf16, the naive form and the peak, interleaved."""
    replay, agent = our_replay(STORED_BY_PEERS), our_agent("pooled", "bf16")
    contestants = [
        ours("bf16", agent, replay, size.pooled_updates),
        textbook("naive", TextbookTD3(tau=0.005, rate=3e-4), replay.sample(BATCH), size.pooled_updates),
        peak("peak bf16", torch.bfloat16),
    ]
    with one_core():
        seconds = interleaved(contestants, size.blocks, _ticks(size.blocks, told))
    goal = Goal("ratio", ">=", 5.5, 8.0)
    return [
        speed_row(
            "pooled update, bf16, against the naive form", seconds["bf16"], seconds["naive"], "naive", goal, NAIVE_NOTE
        ),
        _share("pooled", "bf16", update_macs(agent, BATCH), seconds, Goal("ratio", ">=", 0.65, 0.8)),
    ]


def cuda(size: Size, told: Told) -> list[Row]:
    """The learner as it is on a GPU, both precisions, against stable-baselines3 there."""
    names = {precision: f"nature update on a GPU, {precision}" for precision in ("fp32", "bf16")}
    why = "" if torch.cuda.is_available() else "no CUDA device"
    if why or (why := installed("stable_baselines3")):
        told(1, 1)
        return [Row(name, skipped=why) for name in names.values()]
    replay, updates = our_replay(STORED_BY_PEERS), 10 * size.updates
    contestants = [ours(precision, our_agent("nature", precision, "cuda"), replay, updates) for precision in names]
    contestants.append(sb3("stable_baselines3", updates, "cuda"))
    seconds = interleaved(contestants, size.blocks, _ticks(size.blocks, told))
    against = f"stable_baselines3 {metadata.version('stable_baselines3')}"
    return [
        speed_row(name, seconds[precision], seconds["stable_baselines3"], against, None, SB3_NOTE)
        for precision, name in names.items()
    ]


def _share(cnn: str, precision: str, macs: float, seconds: dict[str, list[float]], goal: Goal | None) -> Row:
    """The share of the peak rate that an update (without sampling) reaches."""
    ours, peak_rate = ([1 / value for value in values] for values in (
        [value / macs for value in seconds[f"{precision}/learn"]], seconds[f"peak {precision}"]
    ))  # fmt: skip
    return share_row(
        f"share of the peak convolution rate, {cnn} {precision}", "GMAC/s",
        [rate / 1e9 for rate in ours], [rate / 1e9 for rate in peak_rate], "peak", goal, PEAK_NOTE,
    )  # fmt: skip


def _ticks(blocks: int, told: Told) -> partial[None]:
    """Tells of a block more at every call; the first, which warms up, counts as well."""
    done = iter(range(1, blocks + 2))
    return partial(lambda: told(next(done), blocks + 1))
