"""Growth models on series whose law, parameters and crossings are known."""

import math

import numpy as np
import pytest

from td3sweep.monitor.forecast import forecast_growth, redraw, values_at
from td3sweep.monitor.growth import (
    FAMILIES,
    Fit,
    aicc_weights,
    fit_growth,
    independent_share,
    noise_scale,
)

STEPS = np.arange(1100.0, 3100.0, 100.0)
LAWS = {
    "power": lambda t: 1.8e6 * ((t - 625) / 4375) ** 5.95,
    "exponential": lambda t: 2.0 + 0.5 * np.exp((t - 1100) / 300),
    "finite-time": lambda t: 50.0 / (1.0 - (t - 1100) / 2100) ** 1.5,
    "linear": lambda t: 5.0 + 0.02 * (t - 1100),
    "constant": lambda t: np.full_like(t, 20.0),
}


def noisy(values, size=0.02, seed=0):
    return values * np.exp(size * np.random.default_rng(seed).standard_normal(len(values)))


@pytest.mark.parametrize("name", LAWS)
def test_the_law_that_made_a_series_gets_its_weight(name):
    fits = fit_growth(STEPS, noisy(LAWS[name](STEPS)))
    assert fits.best.family.name == name
    assert sum(fits.weights) == pytest.approx(1.0)
    assert (fits.exploding > 0.95) == (name not in ("linear", "constant"))


def test_the_power_law_of_the_described_system_is_found_exactly():
    fits = fit_growth(STEPS, LAWS["power"](STEPS))
    assert fits.best.theta[2] == pytest.approx(5.95, rel=1e-3)
    assert fits.at(fits.best, 5000) == pytest.approx(1.8e6, rel=1e-3)
    assert fits.step_of(fits.best, 65504.0) == pytest.approx(625 + 4375 * (65504 / 1.8e6) ** (1 / 5.95), rel=1e-3)
    # d ln y / dt = 5.95 / (t - 625), per 1,000 steps at t = 3,000
    assert fits.rate() == pytest.approx(1000 * 5.95 / 2375, rel=1e-2)


def test_a_power_law_that_starts_below_zero_is_not_taken_for_an_exponential():
    """The gap of a crossed run: the critic's Q comes first, so the actor's starts 13 below it."""
    steps = np.arange(1025.0, 2001.0, 25.0)
    values = -13.0 + 2100.0 * ((steps - 1000.0) / 1000.0) ** 4.8
    fits = fit_growth(steps, noisy(values, 0.05))
    assert fits.best.family.name == "power"
    assert fits.best.theta[2] == pytest.approx(4.8, abs=0.5)
    assert 0.5 < fits.at(fits.best, 3000.0) / (2100.0 * 2.0**4.8) < 2.0


@pytest.mark.parametrize(
    ("name", "theta", "u"),
    [
        ("constant", [7.0], None),
        ("linear", [1.0, 4.0], 1.5),  # 1 + 4 u = 7
        ("power", [math.log(2.0), math.log(0.5), 2.0, 1.0], 1.5 * math.sqrt(3.0) - 0.5),  # 1 + 2 ((u + .5) / 1.5)^2 = 7
        ("exponential", [math.log(3.0), 2.0, 1.0], 1.0 + math.log(2.0) / 2.0),  # 1 + 3 exp(2 (u - 1)) = 7
        ("finite-time", [math.log(3.5), math.log(2.0), math.log(1.0)], 2.0),  # 3.5 / (1 + (1 - u)/2) = 7
    ],
)
def test_when_a_curve_reaches_a_level(name, theta, u):
    family = next(family for family in FAMILIES if family.name == name)
    found = family.when(np.array(theta), 7.0)
    if u is None:
        assert found == 0.0
        assert family.when(np.array(theta), 7.1) == math.inf
    else:
        assert found == pytest.approx(u)
        assert family.curve(np.array(theta), np.array([found]))[0] == pytest.approx(7.0)


def test_a_curve_that_falls_never_reaches_a_higher_level():
    for name, theta in (("linear", [5.0, -1.0]), ("power", [0.0, 0.0, -2.0, 0.0]), ("exponential", [0.0, -1.0, 0.0])):
        family = next(family for family in FAMILIES if family.name == name)
        assert family.when(np.array(theta), 50.0) == math.inf
        assert not family.explodes(np.array(theta))


def test_aicc_weights_by_hand():
    # 14 residuals, independent by construction (signs + - - + ... have lag-1 autocorrelation below 0)
    signs = np.array([1.0, -1.0] * 7)
    constant = Fit(FAMILIES[0], np.zeros(1), signs, 0.20 * signs)
    linear = Fit(FAMILIES[1], np.zeros(2), signs, 0.18 * signs)
    score = [14 * math.log(0.2**2) + 4 + 12 / 11, 14 * math.log(0.18**2) + 6 + 24 / 10]
    assert aicc_weights([constant, linear])[1] == pytest.approx(1 / (1 + math.exp((score[1] - score[0]) / 2)))


def test_points_that_hang_together_count_less():
    rng = np.random.default_rng(0)
    white = rng.standard_normal(4000)
    red = np.zeros(4000)
    for k in range(1, 4000):
        red[k] = 0.6 * red[k - 1] + white[k]
    assert independent_share(white) == pytest.approx(1.0, abs=0.06)
    assert independent_share(red) == pytest.approx(0.4 / 1.6, abs=0.04)


def test_the_noise_scale_is_that_of_the_small_values():
    rng = np.random.default_rng(0)
    values = np.concatenate([0.5 * rng.standard_normal(200), 1e6 + 1e4 * rng.standard_normal(200)])
    assert noise_scale(values) == pytest.approx(0.5, rel=0.4)
    assert noise_scale(np.zeros(12)) > 0.0


def test_fewer_than_twelve_points_are_refused():
    with pytest.raises(ValueError, match="11 points"):
        fit_growth(STEPS[:11], STEPS[:11])


def test_a_series_of_zeros_and_one_of_huge_numbers_can_be_fitted():
    assert fit_growth(STEPS, np.zeros(20)).exploding < 0.95
    assert fit_growth(STEPS, 1e30 * np.exp(STEPS / 100)).exploding > 0.95


def test_the_forecast_of_the_described_system_dates_every_limit():
    known = STEPS[:12]  # to step 2,200
    growth = forecast_growth(fit_growth(known, noisy(LAWS["power"](known))), "|actor Q|", 2000.0)
    assert growth.model == "power"
    bound, fp16 = growth.crossings["value bound"], growth.crossings["fp16 overflow"]
    assert bound.low <= 625 + 4375 * (2000 / 1.8e6) ** (1 / 5.95) <= bound.high
    assert fp16.low <= 625 + 4375 * (65504 / 1.8e6) ** (1 / 5.95) <= fp16.high
    assert (bound.reliable, fp16.reliable) == (True, growth.crossings["fp16 overflow"].estimate <= 3300)
    assert not growth.crossings["fp32 overflow"].reliable
    assert growth.ahead.low < 1.8e6 * (6575 / 4375) ** 5.95 < growth.ahead.high
    assert not growth.ahead.reliable
    # doubling at t = 2,200: (2^(1/5.95) - 1) (t - 625) = 195 steps
    assert growth.doubling.estimate == pytest.approx(195, rel=0.2)
    assert growth.as_dict()["forecast"]["step_of value bound"]["estimate"] == bound.estimate


def test_what_never_happens_is_null_in_json_and_unreliable():
    growth = forecast_growth(fit_growth(STEPS, noisy(LAWS["constant"](STEPS))), "|actor Q|", None)
    crossing = growth.as_dict()["forecast"]["step_of fp32 overflow"]
    assert (crossing["estimate"], crossing["reliable"]) == (None, False)
    assert "value bound" not in growth.crossings
    assert growth.line().startswith("growth of |actor Q|: constant")


def test_the_same_fits_give_the_same_draws():
    fits = fit_growth(STEPS, noisy(LAWS["power"](STEPS)))
    one, other = (values_at(fits, redraw(fits, 20), 4000.0) for _ in range(2))
    assert (one == other).all()
    assert one.std() > 0
