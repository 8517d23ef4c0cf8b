"""What a run's progress says it is doing."""

from toy_trainer import make


def test_what_is_shown_counts_the_critics_first_updates_while_no_step_is_taken(tmp_path):
    trainer, shown = make(tmp_path, steps=20, warmup=16, critic_only_updates=6, log_every=2), []
    trainer.recorder.show = lambda step, label, left: shown.append((step, label))
    trainer.run()
    at_its_end = [label for step, label in shown if step == 16]
    assert at_its_end[:2] == ["update 2/6,", "update 4/6,"]
    assert {label for step, label in shown if step < 16} == {"warm-up"}
    assert {label for step, label in shown if step > 16} == {"learning"}
