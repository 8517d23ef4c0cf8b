"""Dynamics against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from td3sweep.standin.blueprints import MODELS
from td3sweep.standin.geometry import Transform
from td3sweep.standin.vehicle import FRICTION, GRAVITY, MAX_STEER, Vehicle, VehicleControl

MODEL = MODELS["vehicle.tesla.model3"]
DT = 0.05


def vehicle(speed: float = 0.0, yaw: float = 0.0) -> Vehicle:
    car = Vehicle(MODEL, Transform(yaw=yaw))
    car.set_velocity(speed * math.cos(math.radians(yaw)), speed * math.sin(math.radians(yaw)))
    return car


def drive(car: Vehicle, seconds: float, **control: float | bool) -> Vehicle:
    car.control = VehicleControl(**control)
    for _ in range(round(seconds / DT)):
        car.step(DT, 5)
    return car


def test_full_throttle_reaches_13_metres_per_second_in_about_five_seconds():
    car = vehicle()
    assert 2.9 < drive(car, 1.0, throttle=1.0).speed < 3.2  # 3.2 m/s^2 less rolling resistance
    assert 12.0 < drive(car, 4.0, throttle=1.0).speed < 14.0


def test_top_speed_is_that_of_a_fast_road_car():
    speed = drive(vehicle(), 240.0, throttle=1.0).speed
    assert 40.0 < speed < 50.0
    # In balance: 22 W/kg / v = 0.12 + 1.7e-4 v^2.
    assert 22.0 / speed == pytest.approx(0.12 + 1.7e-4 * speed**2, rel=0.02)


def test_full_brake_stops_from_ten_metres_per_second_in_two_to_three_seconds():
    car = vehicle(10.0)
    assert drive(car, 2.0, brake=1.0).speed > 0.0
    assert drive(car, 1.0, brake=1.0).speed == 0.0
    # v^2 / 2a with a little over 4.62 m/s^2.
    assert car.x == pytest.approx(100.0 / (2.0 * 4.75), rel=0.05)


def test_braking_never_turns_into_reversing():
    car = drive(vehicle(0.3), 5.0, brake=1.0)
    assert car.speed == 0.0
    assert car.velocity == (0.0, 0.0, 0.0)


def test_hand_brake_holds_against_part_throttle():
    assert drive(vehicle(), 2.0, throttle=0.9, hand_brake=True).speed == 0.0


def test_a_coasting_car_slows_and_stands_in_the_end():
    car = vehicle(5.0)
    assert 0.0 < drive(car, 5.0).speed < 4.5
    assert drive(car, 60.0).speed == 0.0


def test_reverse_drives_backwards():
    car = drive(vehicle(), 2.0, throttle=0.5, reverse=True)
    assert car.speed < -2.0
    assert car.x < -2.0
    assert car.gear == -1


def test_positive_steer_turns_right_which_is_growing_yaw_and_y():
    car = drive(vehicle(5.0), 1.0, throttle=0.2, steer=0.3)
    assert car.pose.yaw > 5.0
    assert car.y > 0.0
    mirrored = drive(vehicle(5.0), 1.0, throttle=0.2, steer=-0.3)
    assert (mirrored.x, mirrored.y) == (car.x, -car.y)


def test_slow_turn_follows_the_bicycle_radius():
    car = drive(vehicle(3.0), 2.0, throttle=0.1, steer=0.5)
    expected = car.speed * math.tan(0.5 * MAX_STEER) / MODEL.wheelbase
    assert car.yaw_rate == pytest.approx(expected, rel=1e-3)


def test_wheels_lag_behind_the_command():
    car = drive(vehicle(), 0.1, steer=1.0)
    # First order, 0.12 s: 1 - exp(-0.1 / 0.12) = 0.5654.
    assert car.steer_angle / MAX_STEER == pytest.approx(0.5654, abs=1e-4)


def test_twelve_metres_per_second_slip_outwards_of_a_twenty_metre_bend():
    needed = math.atan(MODEL.wheelbase / 20.0) / MAX_STEER
    car = vehicle(12.0)
    drive(car, 0.5, throttle=0.35, steer=needed)
    radius = car.speed / car.yaw_rate
    assert radius > 20.5
    assert car.speed * car.yaw_rate <= FRICTION * GRAVITY + 1e-9
    gentle = vehicle(8.0)
    drive(gentle, 1.5, throttle=0.2, steer=needed)
    assert gentle.speed / gentle.yaw_rate == pytest.approx(20.0, rel=1e-3)


def test_velocity_points_along_the_path_and_acceleration_is_its_change():
    car = drive(vehicle(6.0), 1.0, throttle=0.3, steer=0.2)
    before = car.pose, car.velocity
    car.step(DT, 5)
    moved = math.hypot(car.x - before[0].x, car.y - before[0].y)
    assert moved / DT == pytest.approx(math.hypot(*car.velocity), rel=0.01)
    assert car.acceleration[0] == pytest.approx((car.velocity[0] - before[1][0]) / DT)
    turned = car.pose.yaw - before[0].yaw
    assert car.angular_velocity[2] == pytest.approx(turned / DT, rel=0.02)


def test_lateral_acceleration_is_speed_times_yaw_rate():
    car = drive(vehicle(6.0), 2.0, throttle=0.2, steer=0.2)
    yaw = math.radians(car.pose.yaw)
    ax, ay, _ = car.acceleration
    sideways = -ax * math.sin(yaw) + ay * math.cos(yaw)
    assert sideways == pytest.approx(car.speed * car.yaw_rate, rel=0.05)


def test_respawned_car_repeats_its_path_bit_for_bit():
    def path() -> list[float]:
        car = Vehicle(MODEL, Transform(12.34, -56.78, 0.3, 0.0, 123.4, 0.0))
        points = []
        for tick in range(200):
            car.control = VehicleControl(throttle=0.6, steer=math.sin(0.1 * tick), brake=float(tick % 50 == 0))
            car.step(DT, 5)
            points += [car.x, car.y, car.yaw, car.speed]
        return points

    assert path() == path()


def test_switched_off_physics_stands_still_and_a_teleport_keeps_world_velocity():
    car = vehicle(5.0)
    car.teleport(Transform(x=100.0, yaw=90.0))
    assert car.velocity == (5.0, 0.0, 0.0)
    assert car.speed == pytest.approx(0.0, abs=1e-12)  # it now slides sideways
    car.simulate_physics = False
    drive(car, 1.0, throttle=1.0)
    assert car.x == 100.0


def test_a_slide_is_braked_by_the_tyres():
    car = vehicle()
    car.push(0.0, 3.0)
    drive(car, 1.0)
    assert car.velocity[1] == 0.0
    assert car.y == pytest.approx(9.0 / (2.0 * FRICTION * GRAVITY), rel=0.1)


def test_wheels_come_to_the_ground_and_controls_are_clipped():
    car = Vehicle(MODEL, Transform(z=0.3, roll=10.0))
    car.step(DT, 5)
    assert (car.z, car.roll) == (0.0, 0.0)
    control = VehicleControl.from_wire([2.0, -3.0, -1.0, False, False, False, 0])
    assert (control.throttle, control.steer, control.brake) == (1.0, -1.0, 0.0)
    with pytest.raises(ValueError, match="not a number"):
        VehicleControl.from_wire([math.nan, 0.0, 0.0, False, False, False, 0])
