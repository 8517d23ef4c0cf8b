"""Speed as a wrapper: what makes an update faster without changing its mathematics."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from td3sweep.agent.gradients import Metrics
from td3sweep.names import Precision
from td3sweep.nets import ImageCNN, PolicyHead, TwinQHead
from td3sweep.replay.batch import Batch

QUICK_S = 0.05  # a pass that a probe can make larger
EAGER_STEPS = 3  # real steps of a kind before its graph: libraries choose kernels and optimisers make their states


class UpdateStep(Protocol):
    """An update's work on the device, as `TD3` gives it."""

    def __call__(
        self, batch: Batch, noise: torch.Tensor, train_actor: bool, soft_update: bool
    ) -> tuple[Metrics, torch.Tensor]: ...


def prepare(network: nn.Module, device: torch.device) -> None:
    """Move a network to its device in place, convolutions channels-last."""
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def set_precision(network: nn.Module, precision: Precision) -> None:
    """Run a network's CNN in bf16 autocast, or not."""
    for module in network.modules():
        if isinstance(module, ImageCNN):
            module.bf16 = precision == "bf16"


def compile_networks(networks: Iterable[nn.Module]) -> None:
    """Compile CNNs and heads in place by `torch.compile`; names of parameters stay as they are.

    The first update takes a minute or so. On CPUs this was slower than bf16 autocast alone.
    """
    for network in networks:
        for module in network.modules():
            if isinstance(module, (ImageCNN, PolicyHead, TwinQHead)):
                module.compile()


@dataclass
class _Graph:
    """A captured step: what it reads, what it writes, and how to run it again on both."""

    batch: Batch
    noise: torch.Tensor
    written: dict[str, Any]
    replay: Callable[[], Any]


class CudaGraphs:
    """Runs updates as CUDA graphs, one for each kind of step and shape of batch, so that no kernel waits for Python.

    The first steps of a kind run eagerly; they are real ones. A metric comes out as float32 whatever it was.

    Args:
        step: an update's work on the device.
        capture: records a function's kernels and returns how to run them again on the same memory.
    """

    def __init__(
        self, step: UpdateStep, capture: Callable[[Callable[[], None]], Callable[[], Any]] | None = None
    ) -> None:
        self._step = step
        self._capture = _capture if capture is None else capture
        self._graphs: dict[Any, _Graph] = {}
        self._eager: Counter[Any] = Counter()

    def __call__(
        self, batch: Batch, noise: torch.Tensor, train_actor: bool, soft_update: bool
    ) -> tuple[Metrics, torch.Tensor]:
        tensors = batch.tensors()
        kind = (train_actor, soft_update, batch.start, *(t.shape for t in tensors.values()))
        if self._eager[kind] < EAGER_STEPS:
            self._eager[kind] += 1
            with _side_stream(noise.device):
                return self._step(batch, noise, train_actor, soft_update)
        if kind not in self._graphs:
            self._graphs[kind] = self._record(batch, noise, train_actor, soft_update)
        graph = self._graphs[kind]
        for name, held in graph.batch.tensors().items():
            held.copy_(tensors[name])
        graph.noise.copy_(noise)
        graph.replay()
        written = graph.written
        metrics = dict(zip(written["names"], written["values"].clone().unbind(), strict=True))
        return metrics, written["td_errors"].clone()

    def forget(self) -> None:
        """Drop all graphs: tensors that they work on were replaced."""
        self._graphs.clear()
        self._eager.clear()

    def _record(self, batch: Batch, noise: torch.Tensor, train_actor: bool, soft_update: bool) -> _Graph:
        own, own_noise = batch.replaced(torch.clone), noise.clone()
        written: dict[str, Any] = {}

        def run() -> None:
            metrics, td_errors = self._step(own, own_noise, train_actor, soft_update)
            values = torch.stack([value.float() for value in metrics.values()])
            written.update(names=list(metrics), values=values, td_errors=td_errors)

        return _Graph(own, own_noise, written, self._capture(run))


def _capture(run: Callable[[], None]) -> Callable[[], Any]:
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


@contextmanager
def _side_stream(device: torch.device) -> Iterator[None]:
    """What is captured later must have run beside the default stream first (torch's notes on CUDA graphs)."""
    if device.type != "cuda":
        yield
        return
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        yield
    torch.cuda.current_stream(device).wait_stream(stream)


def bf16_speed_up(cnn: ImageCNN, device: torch.device, batch: int = 16, repeats: int = 3) -> float:
    """Time of a forward and backward pass in float32 over that in bfloat16; below 1 bfloat16 is the slower.

    Not every processor has fast bfloat16 arithmetic: probe before choosing it. Weights and gradients stay as
    they are.

    Args:
        cnn: encoder to time, on `device`.
        device: where.
        batch: image stacks in a pass; four times as many where that takes no time, since what surrounds the arithmetic
            would blur it.
        repeats: timed passes of each kind, interleaved; the fastest counts.
    """
    channels = next(m.in_channels for m in cnn.modules() if isinstance(m, nn.Conv2d))
    kept, threads = cnn.bf16, torch.get_num_threads()
    # One thread and its own processor time: the same where other work runs on the machine.
    torch.set_num_threads(1)
    clock = time.perf_counter if device.type == "cuda" else time.thread_time

    def seconds(bf16: bool, images: torch.Tensor) -> float:
        cnn.bf16 = bf16
        _wait(device)
        begun = clock()
        torch.autograd.grad(cnn(images).sum(), list(cnn.parameters()))
        _wait(device)
        return clock() - begun

    try:
        images = torch.zeros(batch, channels, 84, 84, dtype=torch.uint8, device=device)
        quick = max(seconds(False, images), seconds(False, images)) < QUICK_S
        if quick:
            images = images.repeat(4, 1, 1, 1)
        best = {False: float("inf"), True: float("inf")}
        for attempt in range(repeats + 1):
            for bf16 in (False, True):
                spent = seconds(bf16, images)
                if attempt > 0:  # the first pass builds kernels
                    best[bf16] = min(best[bf16], spent)
    finally:
        cnn.bf16 = kept
        torch.set_num_threads(threads)
    return best[False] / best[True]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
