"""What charts and pictures show, and on which scale."""

import io

from PIL import Image

from td3sweep.diagnose.chart import as_chart
from td3sweep.diagnose.curves import Curve, asinh_ticks, episode_curve, is_wide, q_curves
from td3sweep.diagnose.judge import judge
from td3sweep.diagnose.picture import write_picture
from td3sweep.logs.log import Log, LoggedEpisode, Row


def log(path, values):
    rows = [Row(step, {"q/actor": value, "q/q1": 1.0}, "learning") for step, value in enumerate(values)]
    return Log(path, "test", rows=rows, episodes=[LoggedEpisode(2, 9.0, 1.0, "learning")])


def test_thinning_keeps_the_last_point():
    curve = Curve("q", tuple(map(float, range(10))), tuple(map(float, range(10)))).thinned(4)
    assert curve.steps == (0.0, 3.0, 6.0, 9.0)
    assert Curve("q", (1.0, 2.0), (1.0, 2.0)).thinned(5).steps == (1.0, 2.0)
    assert Curve("q", tuple(map(float, range(11))), tuple(map(float, range(11)))).thinned(4).steps[-1] == 10.0


def test_values_that_are_not_finite_are_left_out(tmp_path):
    actor, critic = q_curves(log(tmp_path, [1.0, float("nan"), float("inf"), 2.0]))
    assert actor.values == (1.0, 2.0)
    assert critic.steps == (0.0, 1.0, 2.0, 3.0)


def test_episode_lengths(tmp_path):
    assert episode_curve(log(tmp_path, [])).values == (9.0,)
    assert episode_curve(Log(tmp_path, "test")) is None


def test_the_scale_follows_the_spread():
    assert is_wide([Curve("q", (1.0, 2.0, 3.0), (10.0, 12.0, 1e6))])
    assert not is_wide([Curve("q", (1.0, 2.0, 3.0), (10.0, 12.0, -20.0))])


def test_ticks_of_an_asinh_axis():
    assert asinh_ticks(0.0, 1.8e6) == [0.0, 100.0, 10_000.0, 1_000_000.0]
    assert asinh_ticks(-250.0, 30.0) == [-100.0, -10.0, 0.0, 10.0]


def test_the_chart_names_its_curves_and_the_alarm(tmp_path):
    judgement = judge(log(tmp_path, [1.0, 2.0, float("nan"), 1e6]), gamma=None, r_max=None)
    text = as_chart(judgement, colour=False)
    head, *lines = text.splitlines()
    assert head == "• q/actor  x q/q1  (asinh scale)  │ first alarm, step 2"
    assert any(line.startswith("1e+06┤") for line in lines)
    assert "• episode length" in text
    assert "\x1b" not in text
    assert "\x1b[" in as_chart(judgement, colour=True)


def test_nothing_to_draw_draws_nothing(tmp_path):
    assert as_chart(judge(Log(tmp_path, "test"), gamma=None, r_max=None), colour=False) == ""


def test_a_picture_is_drawn(tmp_path):
    write_picture(judge(log(tmp_path, [1.0, 2.0, 1e6]), gamma=None, r_max=None), tmp_path / "picture.png")
    with Image.open(io.BytesIO((tmp_path / "picture.png").read_bytes())) as picture:
        assert picture.format == "PNG"
        assert picture.width > 800
        assert len(picture.convert("RGB").getcolors(maxcolors=1_000_000)) > 10
