"""A run's own monitor and `diagnose` on what the run left behind say the same."""

import pytest
from toy_trainer import make

from td3sweep.agent.targets import TD3Target
from td3sweep.diagnose.judge import judge
from td3sweep.logs.find import read
from td3sweep.logs.named import under_our_names


class Runaway(TD3Target):
    """A target beyond what rewards allow."""

    def __call__(self, q1, q2, mask):
        return 3.0 * q1 + 30.0


@pytest.mark.parametrize("rule", [pytest.param(TD3Target, marks=pytest.mark.slow), Runaway])
def test_live_and_afterwards(tmp_path, rule):
    trainer = make(tmp_path, steps=145, warmup=80, log_every=4, eval_every=40)
    trainer.agent._target_rule = rule()
    trainer.run()
    trainer.recorder.close({})
    config = "warmup: 80\nhyperparams: {gamma: 0.9}\nclip: {name: joint, actor: 1.0, critic: 10.0}\n"
    (tmp_path / "config.yaml").write_text(config)
    live = trainer.monitor.report()
    afterwards = judge(under_our_names(read(tmp_path), {}, None), gamma=None, r_max=None).report
    assert afterwards == live
    assert live.growth is not None
    assert ("d1" in trainer.monitor.failed) == (rule is Runaway)
