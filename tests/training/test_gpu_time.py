"""An update returns while a GPU still works on it: that work is the update's time, not the next step's."""

import time
from types import SimpleNamespace

import torch
from toy_trainer import make


def test_what_a_gpu_still_works_on_counts_as_the_updates_time(tmp_path, monkeypatch):
    trainer, waited = make(tmp_path), []

    def synchronize(device):
        waited.append(device)
        time.sleep(0.05)

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    trainer._wait()
    assert waited == []  # a CPU has done its work
    trainer.agent = SimpleNamespace(device=torch.device("cuda", 0))
    trainer.recorder.spent("update", 0.25)
    trainer.recorder.spent("update", 0.25)
    trainer._wait()
    assert waited == [torch.device("cuda", 0)]
    assert 0.275 <= trainer.recorder.seconds_per("update") < 0.5  # of two updates, not of three
    assert trainer.recorder.seconds_per("step") is None


def test_every_burst_of_updates_ends_with_the_wait(tmp_path, monkeypatch):
    trainer, updates = make(tmp_path, steps=24, updates_per_step=2.0), []
    monkeypatch.setattr(trainer, "_wait", lambda: updates.append(trainer.agent.updates))
    trainer.run()
    assert updates[-1] == trainer.agent.updates > 0
    assert set(updates) == set(range(0, trainer.agent.updates + 1, 2))
