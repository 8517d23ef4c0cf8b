"""Boxes that touch, and the momentum they exchange."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from td3sweep.standin.blueprints import MODELS
from td3sweep.standin.collision import RESTITUTION, Footprint, penetration, resolve
from td3sweep.standin.geometry import Transform
from td3sweep.standin.vehicle import Vehicle

TESLA = MODELS["vehicle.tesla.model3"]
SQUARE = (1.0, 1.0, 1.0)


def overlap(second: Transform, extent=SQUARE):
    return penetration(Footprint(Transform(), SQUARE), Footprint(second, extent))


def test_shallowest_overlap_and_its_direction():
    assert overlap(Transform(x=1.5)) == pytest.approx((0.5, 1.0, 0.0))
    assert overlap(Transform(x=-1.5)) == pytest.approx((0.5, -1.0, 0.0))
    assert overlap(Transform(x=0.5, y=1.8)) == pytest.approx((0.2, 0.0, 1.0), abs=1e-12)


def test_boxes_apart_do_not_touch_even_where_their_circles_do():
    assert overlap(Transform(x=2.1)) is None
    assert overlap(Transform(x=1.9, y=2.05)) is None
    # A square turned by 45 degrees reaches sqrt(2) = 1.414 m: it touches at 2.4 m and not at 2.42 m.
    assert overlap(Transform(x=2.4, yaw=45.0))[0] == pytest.approx(1.0 + math.sqrt(2.0) - 2.4)
    assert overlap(Transform(x=2.42, yaw=45.0)) is None


def cars(gap: float, speed: float, model=TESLA) -> list[Vehicle]:
    """One car driving at ``speed`` into the rear of a standing one, ``gap`` metres between the centres."""
    rear, front = Vehicle(TESLA, Transform()), Vehicle(model, Transform(x=gap))
    rear.set_velocity(speed, 0.0)
    return [rear, front]


def test_rear_end_hit_conserves_momentum_and_bounces_a_little():
    pair = cars(4.6, 10.0)
    (contact,) = resolve(pair)
    after = [car.velocity[0] for car in pair]
    assert sum(after) == pytest.approx(10.0)
    assert after[1] - after[0] == pytest.approx(RESTITUTION * 10.0)
    assert contact.impulse == pytest.approx((-1.1 * 10.0 * TESLA.mass / 2.0, 0.0, 0.0), abs=1e-9)
    assert pair[1].x - pair[0].x == pytest.approx(2.0 * TESLA.extent[0])


def test_a_heavier_car_is_moved_less():
    heavy = replace(TESLA, mass=3.0 * TESLA.mass)
    pair = cars(4.6, 10.0, heavy)
    resolve(pair)
    assert pair[0].speed * TESLA.mass + pair[1].speed * heavy.mass == pytest.approx(10.0 * TESLA.mass)
    pushed_back = -pair[0].x
    assert pushed_back == pytest.approx(3.0 * (pair[1].x - 4.6))


def test_parting_cars_get_no_impulse_but_report_the_touch():
    pair = cars(4.6, -1.0)
    (contact,) = resolve(pair)
    assert pair[0].speed == -1.0
    assert 0.0 < math.hypot(*contact.impulse) < 100.0


def test_side_hit_makes_the_other_slide_not_roll():
    struck = Vehicle(TESLA, Transform())
    striking = Vehicle(TESLA, Transform(y=-3.0, yaw=90.0))
    striking.set_velocity(0.0, 5.0)
    assert len(resolve([struck, striking])) == 1
    assert struck.speed == pytest.approx(0.0, abs=1e-9)
    assert struck.slide[1] > 2.0


def test_switched_off_collisions_and_bridges():
    ghost, other = cars(4.0, 5.0)
    ghost.collides = False
    assert resolve([ghost, other]) == []
    low, high = cars(4.0, 5.0)
    high.z = 5.0
    assert resolve([low, high]) == []


def test_all_pairs_are_found_in_a_fixed_order():
    row = [Vehicle(TESLA, Transform(x=4.0 * position)) for position in (2, 0, 1, 9)]
    assert [(contact.first, contact.second) for contact in resolve(row)] == [(0, 2), (1, 2)]
