"""A policy's parameters in memory that processes share."""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from td3sweep.agent.policy import NetworkPolicy

HEADER = 64  # bytes; the first eight count the updates behind the parameters


class SharedParameters:
    """One writer publishes, any number of readers take; nobody ever sees half of a publication.

    The lock is the kernel's on the file: it goes with the process that holds it, so that one killed in the middle of a
    copy stops nobody else.

    Args:
        policy: whose parameters; all sides build theirs from the same settings.
        descriptor: of an empty file that lives in memory, inherited by the readers.
    """

    def __init__(self, policy: NetworkPolicy, descriptor: int) -> None:
        self._descriptor = descriptor
        self._tensors = policy.tensors()
        self._sizes = [tensor.numel() for tensor in self._tensors]
        size = HEADER + 4 * sum(self._sizes)
        os.ftruncate(descriptor, size)
        self._memory = mmap.mmap(descriptor, size)
        self._updates = torch.frombuffer(self._memory, dtype=torch.int64, count=1)
        self._values = torch.frombuffer(self._memory, dtype=torch.float32, offset=HEADER)
        self.updates = -1  # behind the parameters that this side holds

    def publish(self, updates: int) -> None:
        """Let the readers have this policy's present parameters."""
        with torch.no_grad(), self._locked(fcntl.LOCK_EX):
            self._values.copy_(torch.cat([tensor.flatten() for tensor in self._tensors]))
            self._updates.fill_(updates)
        self.updates = updates

    def take(self) -> int:
        """Bring this policy up to the newest parameters; returns the updates behind them."""
        with torch.no_grad(), self._locked(fcntl.LOCK_SH):
            newest = int(self._updates)
            if newest != self.updates:
                for tensor, values in zip(self._tensors, torch.split(self._values, self._sizes), strict=True):
                    tensor.copy_(values.view_as(tensor))
                self.updates = newest
        return newest

    @contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        fcntl.lockf(self._descriptor, kind)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)
