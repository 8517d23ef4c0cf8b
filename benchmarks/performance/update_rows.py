"""Rows of the update: against the peers, against the naive form, against the machine's peak, and on a GPU."""

from __future__ import annotations

import importlib.util
from functools import cache, partial
from importlib import metadata

import torch

from benchmarks.performance.blocks import Contestant, interleaved, one_core
from benchmarks.performance.learners import (
    BATCH,
    EPISODE,
    RATE,
    STORED,
    STORED_BY_PEERS,
    TAU,
    our_agent,
    our_replay,
    ours,
    sb3,
    tianshou,
)
from benchmarks.performance.macs import peak, update_macs
from benchmarks.performance.rows import Goal, Row
from benchmarks.performance.sections import QUICK, Size, Told, share_row, speed_row
from benchmarks.performance.textbook import TextbookTD3, textbook
from td3sweep.agent import TD3
from td3sweep.agent.compiled import CudaGraphs, bf16_speed_up, compile_networks
from td3sweep.names import Precision
from td3sweep.nets import NatureCNN

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
ON_A_GPU: dict[str, tuple[Precision, bool, bool]] = {  # precision, compiled, CUDA graphs
    "fp32": ("fp32", False, False),
    "bf16": ("bf16", False, False),
    "bf16, CUDA graphs": ("bf16", False, True),
    "bf16, compiled, CUDA graphs": ("bf16", True, True),
}
SB3_NOTE = (
    f"both draw their batch of {BATCH} from their own replay and train on it; ours also clips and measures gradients, "
    "theirs reads its losses back"
)
TIANSHOU_NOTE = (
    "draws its batch from its own replay, next observations by a second look; its second critic has an encoder of its "
    "own, so it does about 1.5 times the work"
)
NAIVE_NOTE = (
    "textbook.py: fp32, channels first, pooled behind the activation, actor loss through the critic's "
    "encoder, plain Adam, soft update tensor by tensor; a batch at hand, while ours draws its own"
)
PEAK_NOTE = "MACs of an update by the formula of macs.py; the peak is the best of several 3x3 convolutions"
SAMPLING_NOTE = f"uniform, {BATCH} of {STORED:,} stored transitions in episodes of {EPISODE}"


def installed(package: str) -> str:
    """Why ``package`` cannot be measured; empty if it can."""
    if importlib.util.find_spec(package):
        return ""
    return f"{package} is not installed: pip install -e '.[benchmarks]'"


@cache
def bf16_is_slow() -> str:
    """Why bf16 is not measured on this processor; empty if it is. Without bf16 units it is emulated, minutes long."""
    gain = bf16_speed_up(NatureCNN(), torch.device("cpu"), batch=8, repeats=2)
    return "" if gain > 1.0 else f"this processor runs bf16 at {gain:.2f} times the speed of fp32"


def nature(size: Size, told: Told) -> list[Row]:
    """Ours in both precisions, the peers and the peak, interleaved."""
    replay = our_replay(STORED if size is not QUICK else STORED_BY_PEERS)
    with one_core():
        skipped: dict[str, str] = {"fp32": "", "bf16": bf16_is_slow()}
        skipped |= {peer: installed(peer) for peer in ("stable_baselines3", "tianshou")}
        agents = {precision: our_agent("nature", precision) for precision in _measured(skipped["bf16"])}
        contestants: list[Contestant] = []
        for precision, agent in agents.items():
            contestants += [ours(precision, agent, replay, size.updates), peak(f"peak {precision}", DTYPES[precision])]
        for name, build in (("stable_baselines3", sb3), ("tianshou", tianshou)):
            if not skipped[name]:
                contestants.append(build(name, size.updates))
        seconds = interleaved(contestants, size.blocks, _ticks(size.blocks, told))
    goals = {
        ("fp32", "stable_baselines3"): Goal("ratio", ">=", 1.2, 1.4),
        ("bf16", "stable_baselines3"): Goal("ratio", ">=", 2.2, 2.8),
    }
    rows = []
    for peer, note in (("stable_baselines3", SB3_NOTE), ("tianshou", TIANSHOU_NOTE)):
        for precision in DTYPES:
            name, goal = f"nature update, {precision}, against {peer}", goals.get((precision, peer))
            if why := skipped[precision] or skipped[peer]:
                rows.append(Row(name, goal=goal, skipped=why))
            else:
                against = f"{peer} {metadata.version(peer)}"
                rows.append(speed_row(name, seconds[precision], seconds[peer], against, goal, note))
    macs = update_macs(agents["fp32"], BATCH)
    rows += [
        _share("nature", "fp32", macs, seconds, None, ""),
        _share("nature", "bf16", macs, seconds, Goal("ratio", ">=", 0.5, 0.65), skipped["bf16"]),
    ]
    fastest = list(agents)[-1]
    sampling, whole = ([1000 * value for value in seconds[f"{fastest}{part}"]] for part in ("/sample", ""))
    name, goal = f"sampling's share of an update, nature {fastest}", Goal("ratio", "<=", 0.03)
    return [*rows, share_row(name, "ms", sampling, whole, "an update", goal, SAMPLING_NOTE)]


def pooled(size: Size, told: Told) -> list[Row]:
    """Ours, the naive form and the peak, interleaved."""
    replay = our_replay(STORED_BY_PEERS)
    with one_core():
        slow = bf16_is_slow()
        agents = {precision: our_agent("pooled", precision) for precision in _measured(slow)}
        naive = TextbookTD3(tau=TAU, rate=RATE)
        contestants: list[Contestant] = [textbook("naive", naive, replay.sample(BATCH), size.pooled_updates)]
        for precision, agent in agents.items():
            contestants.append(ours(precision, agent, replay, size.pooled_updates))
            contestants.append(peak(f"peak {precision}", DTYPES[precision]))
        seconds = interleaved(contestants, size.blocks, _ticks(size.blocks, told))
    rows = []
    for precision, goal in (("fp32", None), ("bf16", Goal("ratio", ">=", 5.5, 8.0))):
        name = f"pooled update, {precision}, against the naive form"
        if precision in agents:
            rows.append(speed_row(name, seconds[precision], seconds["naive"], "naive", goal, NAIVE_NOTE))
        else:
            rows.append(Row(name, goal=goal, skipped=slow))
    macs = update_macs(agents["fp32"], BATCH)
    return [
        *rows,
        _share("pooled", "fp32", macs, seconds, None, ""),
        _share("pooled", "bf16", macs, seconds, Goal("ratio", ">=", 0.65, 0.8), slow),
    ]


def cuda(size: Size, told: Told) -> list[Row]:
    """The learner on a GPU, eager and with what is there for GPUs, against stable-baselines3 there."""
    names = {kind: f"nature update on a GPU, {kind}" for kind in ON_A_GPU}
    why = "" if torch.cuda.is_available() else "no CUDA device"
    if why or (why := installed("stable_baselines3")):
        told(1, 1)
        return [Row(name, skipped=why) for name in names.values()]
    replay, updates = our_replay(STORED_BY_PEERS), 10 * size.updates
    contestants = [ours(kind, _on_a_gpu(*how), replay, updates) for kind, how in ON_A_GPU.items()]
    contestants.append(sb3("stable_baselines3", updates, "cuda"))
    seconds = interleaved(contestants, size.blocks, _ticks(size.blocks, told))
    against = f"stable_baselines3 {metadata.version('stable_baselines3')}"
    return [
        speed_row(name, seconds[kind], seconds["stable_baselines3"], against, None, SB3_NOTE)
        for kind, name in names.items()
    ]


def _on_a_gpu(precision: Precision, compiled: bool, graphs: bool) -> TD3:
    agent = our_agent("nature", precision, "cuda")
    if compiled:
        compile_networks(agent.networks().values())
    if graphs:
        agent.run_step = CudaGraphs(agent.run_step)
    return agent


def _measured(slow: str) -> list[Precision]:
    """Precisions to measure, the fastest last."""
    return ["fp32"] if slow else ["fp32", "bf16"]


def _share(  # noqa: PLR0917 - what makes a share
    cnn: str, precision: Precision, macs: float, seconds: dict[str, list[float]], goal: Goal | None, skipped: str
) -> Row:
    """The share of the peak rate that an update (without sampling) reaches."""
    name = f"share of the peak convolution rate, {cnn} {precision}"
    if skipped:
        return Row(name, goal=goal, skipped=skipped)
    reached = [macs / value / 1e9 for value in seconds[f"{precision}/learn"]]
    possible = [1 / value / 1e9 for value in seconds[f"peak {precision}"]]
    return share_row(name, "GMAC/s", reached, possible, "peak", goal, PEAK_NOTE)


def _ticks(blocks: int, told: Told) -> partial[None]:
    """Tells of a block more at every call; the first, which warms up, counts as well."""
    done = iter(range(1, blocks + 2))
    return partial(lambda: told(next(done), blocks + 1))
