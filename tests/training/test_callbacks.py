"""Who looks on while an agent trains: what each is told, in which order, and what it may change."""

import pytest
import torch
from toy_trainer import make, rows

from td3sweep.training.callbacks import Callback


class Notes(Callback):
    """Keeps what it is told, and has a state of its own."""

    def __init__(self, key="notes"):
        self.heard, self.count, self._key = [], 0, key

    def on_start(self, trainer):
        self.heard.append(("start", trainer.step))

    def on_step(self, trainer, step):
        self.count += 1
        self.heard.append(("step", trainer.step))

    def on_episode(self, trainer, episode):
        self.heard.append(("episode", episode.length))

    def on_log(self, trainer, row):
        row["mine/count"] = float(self.count)
        self.heard.append(("log", trainer.agent.updates))

    def on_evaluation(self, trainer, found):
        self.heard.append(("evaluation", found["eval/episodes"]))

    def on_save(self, trainer, payload):
        payload[self._key] = self.count
        self.heard.append(("save", trainer.step))

    def on_restore(self, trainer, payload):
        self.count = payload.get(self._key, 0)
        self.heard.append(("restore", trainer.step))


def of(notes, event):
    return [what for name, what in notes.heard if name == event]


def noted(path, **schedule):
    trainer, notes = make(path, **schedule), Notes()
    trainer.callbacks.append(notes)
    trainer.run()
    return notes


def test_it_hears_of_every_step_episode_row_evaluation_and_checkpoint(tmp_path):
    notes = noted(tmp_path, steps=40, warmup=16, log_every=5, eval_every=20, save_every=20)
    assert of(notes, "start") == [0]
    assert of(notes, "step") == list(range(1, 41))
    assert sum(of(notes, "episode")) <= 40
    assert of(notes, "log") == [5, 10, 15, 20]
    assert of(notes, "evaluation")[-1] == 1.0
    assert of(notes, "save") == [20, 40]
    assert notes.heard[0] == ("start", 0)


def test_a_step_is_told_before_the_updates_that_follow_it(tmp_path):
    notes = noted(tmp_path, steps=22, warmup=16, log_every=1)
    told = [event for event in notes.heard if event[0] in ("step", "log") and event[1] in (1, 17)]
    assert told.index(("step", 17)) < told.index(("log", 1))


def test_what_it_adds_to_a_row_is_written(tmp_path):
    noted(tmp_path, steps=26, warmup=16, log_every=5)
    assert [row["mine/count"] for row in rows(tmp_path) if "loss/critic" in row] == [21.0, 26.0]


def test_its_state_is_restored_and_carried_through_a_sitting_without_it(tmp_path):
    noted(tmp_path, stop_after=23)
    saved = torch.load(max((tmp_path / "checkpoints").glob("step-*.pt")), weights_only=True)["notes"]
    assert saved > 0
    make(tmp_path, stop_after=3).run()
    last = make(tmp_path, stop_after=0)
    last.callbacks.append(notes := Notes())
    last.run()
    assert notes.count == saved
    assert [event for event, _ in notes.heard][:2] == ["restore", "start"]


def test_the_first_to_stop_a_run_says_how_it_ended(tmp_path):
    class Stops(Callback):
        def __init__(self, how):
            self.how = how

        def on_step(self, trainer, step):
            if trainer.step == 9:
                trainer.stop(self.how)

    trainer = make(tmp_path)
    trainer.callbacks += [Stops("pruned"), Stops("stopped by the monitor")]
    trainer.run()
    assert (trainer.step, trainer.stopped) == (9, "pruned")
    with pytest.raises(ValueError, match="stop\\('finished'\\)"):
        trainer.stop("finished")
