"""The real, unmodified CARLA client drives the stand-in: what an environment calls, and what it gets back."""

from __future__ import annotations

import math
import os
import queue

import numpy as np
import pytest

os.environ.setdefault("HOME", "/tmp")
carla = pytest.importorskip("carla")


def spawn(world, index: int = 0, type_id: str = "vehicle.tesla.model3"):
    blueprint = world.get_blueprint_library().find(type_id)
    return world.spawn_actor(blueprint, world.get_map().get_spawn_points()[index])


def event_sensor(world, vehicle, type_id: str):
    events: queue.Queue = queue.Queue()
    blueprint = world.get_blueprint_library().find(type_id)
    sensor = world.spawn_actor(blueprint, carla.Transform(), attach_to=vehicle)
    sensor.listen(events.put)
    return sensor, events


def test_version_and_maps_say_what_it_is(standin):
    client = standin.client()
    assert client.get_server_version() == client.get_client_version() == "0.9.16"
    names = client.get_available_maps()
    assert len(names) >= 3
    assert all(name.startswith("/Game/Carla/Maps/StandIn") for name in names)
    assert client.get_world().get_map().name == "Carla/Maps/StandInTown"
    assert "not CARLA" in standin.log.read_text()


def test_settings_travel_both_ways(standin):
    world = standin.synchronous_world(delta=0.1)
    settings = world.get_settings()
    assert settings.synchronous_mode
    assert settings.fixed_delta_seconds == pytest.approx(0.1)
    first = world.tick()
    assert world.tick() == first + 1
    snapshot = world.get_snapshot()
    assert snapshot.frame == first + 1
    assert snapshot.timestamp.delta_seconds == pytest.approx(0.1)


def test_asynchronous_world_runs_by_itself(standin):
    world = standin.client().get_world()
    first = world.wait_for_tick(5.0)
    second = world.wait_for_tick(5.0)
    assert second.frame > first.frame
    assert 0.0 < second.timestamp.delta_seconds <= 0.1


def test_blueprints_look_like_the_real_ones(standin):
    library = standin.client().get_world().get_blueprint_library()
    car = library.find("vehicle.tesla.model3")
    assert int(car.get_attribute("number_of_wheels")) == 4
    assert str(car.get_attribute("base_type").as_str()) == "car"
    assert car.get_attribute("color").recommended_values
    car.set_attribute("role_name", "hero")
    assert len(library.filter("vehicle.*")) >= 4
    camera = library.find("sensor.camera.rgb")
    for name in ("image_size_x", "image_size_y", "fov", "sensor_tick"):
        assert camera.has_attribute(name)


def test_car_drives_as_told_and_reads_back(standin):
    world = standin.synchronous_world()
    ego = spawn(world)
    start = world.get_map().get_spawn_points()[0]
    ego.apply_control(carla.VehicleControl(throttle=1.0))
    for _ in range(40):
        world.tick()
    velocity = ego.get_velocity()
    assert velocity.length() == pytest.approx(6.1, abs=0.3)  # 2 s at 3.2 m/s^2 less rolling resistance
    assert ego.get_location().distance(start.location) == pytest.approx(6.1, abs=0.5)
    assert ego.get_acceleration().length() == pytest.approx(3.0, abs=0.2)
    assert ego.get_control().throttle == pytest.approx(1.0)
    assert ego.get_speed_limit() == pytest.approx(30.0)
    turned = ego.get_transform().rotation.yaw - start.rotation.yaw
    assert math.remainder(turned, 360.0) == pytest.approx(0.0, abs=1e-3)
    ego.apply_control(carla.VehicleControl(throttle=0.2, steer=0.3))
    for _ in range(10):
        world.tick()
    assert ego.get_angular_velocity().z > 5.0
    assert world.get_snapshot().find(ego.id) is not None


def test_physics_control_tells_the_truth_about_steering(standin):
    world = standin.synchronous_world()
    physics = spawn(world).get_physics_control()
    assert [wheel.max_steer_angle for wheel in physics.wheels] == pytest.approx([40.0, 40.0, 0.0, 0.0])
    assert physics.mass == pytest.approx(1845.0)


def test_every_camera_frame_carries_the_frame_of_its_tick(standin):
    world = standin.synchronous_world()
    ego = spawn(world)
    camera = standin.camera(world, ego)
    for index in range(100):
        ego.apply_control(carla.VehicleControl(throttle=0.5))
        frame = world.tick()
        image = camera.next()
        assert image.frame == frame, f"tick {index}"  # the very first one included
        assert (image.width, image.height, image.fov) == (84, 84, 90.0)
    pixels = np.frombuffer(image.raw_data, np.uint8).reshape(84, 84, 4)
    assert pixels[80, 40, :3].mean() < 90 < pixels[2, 40, :3].mean()  # dark asphalt, bright sky
    mount = ego.get_transform().transform(carla.Location(x=1.6, z=1.5))
    assert image.transform.location.distance(mount) < 1e-3


def test_first_frame_is_never_lost(standin):
    world = standin.synchronous_world()
    ego = spawn(world)
    for _ in range(40):
        camera = standin.camera(world, ego, size=16)
        frame = world.tick()
        assert camera.next().frame == frame
        camera.actor.stop()
        camera.actor.destroy()


def test_lane_invasion_is_seen_by_the_client(standin):
    world = standin.synchronous_world()
    ego = spawn(world)
    sensor, events = event_sensor(world, ego, "sensor.other.lane_invasion")
    for _ in range(80):
        ego.apply_control(carla.VehicleControl(throttle=0.5, steer=-0.15))
        world.tick()
        if not events.empty():
            break
    event = events.get(timeout=2.0)
    assert carla.LaneMarkingType.Broken in [mark.type for mark in event.crossed_lane_markings]
    sensor.stop()
    sensor.destroy()


def test_collision_reports_both_cars_and_slows_the_faster(standin):
    world = standin.synchronous_world()
    ego = spawn(world)
    ego_pose = world.get_map().get_spawn_points()[0]
    ahead = carla.Transform(ego_pose.transform(carla.Location(x=15.0)), ego_pose.rotation)
    other = world.spawn_actor(world.get_blueprint_library().find("vehicle.audi.tt"), ahead)
    other.apply_control(carla.VehicleControl(hand_brake=True))
    sensor, events = event_sensor(world, ego, "sensor.other.collision")
    other_sensor, other_events = event_sensor(world, other, "sensor.other.collision")
    speeds = {}
    for _ in range(100):
        ego.apply_control(carla.VehicleControl(throttle=1.0))
        frame = world.tick()
        speeds[frame] = ego.get_velocity().length()
        if not events.empty():
            break
    event, mirrored = events.get(timeout=2.0), other_events.get(timeout=2.0)
    assert event.frame == mirrored.frame
    before, after = speeds[event.frame - 1], speeds[event.frame]
    assert (event.actor.id, event.other_actor.id) == (ego.id, other.id)
    assert (mirrored.actor.id, mirrored.other_actor.id) == (other.id, ego.id)
    # Momentum: 1.1 x speed x (1845 x 1227 / 3072) kg m/s, and both lists name opposite directions.
    assert event.normal_impulse.length() == pytest.approx(1.1 * before * 736.9, rel=0.05)
    assert event.normal_impulse.x == pytest.approx(-mirrored.normal_impulse.x)
    assert after < 0.7 * before
    assert other.get_velocity().length() > 0.5 * before
    for listening in (sensor, other_sensor):
        listening.stop()
        listening.destroy()


def test_imu_and_gnss_agree_with_the_car(standin):
    world = standin.synchronous_world()
    ego = spawn(world)
    imu, readings = event_sensor(world, ego, "sensor.other.imu")
    gnss, positions = event_sensor(world, ego, "sensor.other.gnss")
    for _ in range(20):
        ego.apply_control(carla.VehicleControl(throttle=1.0))
        world.tick()
        reading, position = readings.get(timeout=2.0), positions.get(timeout=2.0)
    assert reading.accelerometer.x == pytest.approx(ego.get_acceleration().length(), abs=0.01)
    assert reading.accelerometer.z == pytest.approx(9.81, abs=1e-3)
    assert reading.compass == pytest.approx(math.radians(ego.get_transform().rotation.yaw + 90.0) % math.tau, abs=1e-3)
    expected = world.get_map().transform_to_geolocation(ego.get_location())
    assert position.latitude == pytest.approx(expected.latitude, abs=1e-6)
    assert position.longitude == pytest.approx(expected.longitude, abs=1e-6)
    for sensor in (imu, gnss):
        sensor.stop()
        sensor.destroy()


def test_occupied_spawn_points_are_refused_in_carlas_words(standin):
    world = standin.synchronous_world()
    spawn(world)
    with pytest.raises(RuntimeError, match="Spawn failed because of collision at spawn position"):
        spawn(world)
    car = world.get_blueprint_library().find("vehicle.audi.tt")
    assert world.try_spawn_actor(car, world.get_map().get_spawn_points()[0]) is None


def test_batch_spawns_a_car_and_acts_on_it_before_it_has_an_id(standin):
    client = standin.client()
    world = standin.synchronous_world(client)
    points = world.get_map().get_spawn_points()
    car = world.get_blueprint_library().find("vehicle.tesla.model3")
    go = carla.VehicleControl(throttle=1.0)
    commands = [
        carla.command.SpawnActor(car, points[index]).then(
            carla.command.ApplyVehicleControl(carla.command.FutureActor, go)
        )
        for index in (0, 0, 2)
    ]
    first, second, third = client.apply_batch_sync(commands, False)
    assert not first.error
    assert "collision" in second.error
    world.tick()
    world.tick()
    cars = world.get_actors([first.actor_id, third.actor_id])
    assert all(actor.get_velocity().length() > 0.1 for actor in cars)
    client.apply_batch_sync([carla.command.DestroyActor(actor.id) for actor in cars], True)
    assert len(world.get_actors().filter("vehicle.*")) == 0


def test_reload_empties_the_world_and_keeps_settings(standin):
    client = standin.client()
    world = standin.synchronous_world(client)
    spawn(world)
    before = world.tick()
    fresh = client.reload_world(False)
    assert fresh.id != world.id
    assert fresh.get_settings().synchronous_mode
    frame = fresh.tick()
    assert frame > before
    assert len(fresh.get_actors().filter("vehicle.*")) == 0
    camera = standin.camera(fresh, spawn(fresh))
    assert fresh.tick() == camera.next().frame


def test_loading_maps(standin):
    client = standin.client()
    standin.synchronous_world(client)
    world = client.load_world("StandInHighway")
    assert world.get_map().name == "Carla/Maps/StandInHighway"
    assert not world.get_settings().synchronous_mode  # a plain load resets the settings
    with pytest.raises(RuntimeError, match="Map 'Town77' not found"):
        client.load_world("Town77")
    assert client.get_world().get_map().name == "Carla/Maps/StandInHighway"


def test_a_bystander_learns_of_the_new_map(standin):
    client, bystander = standin.client(), standin.client()
    standin.synchronous_world(client)
    watching = bystander.get_world()
    assert watching.get_map().name.endswith("StandInTown")
    client.load_world("StandInRing", False).tick()
    assert watching.get_map().name.endswith("StandInRing")


def test_uploaded_opendrive_becomes_the_map(standin):
    from td3sweep.standin import maps

    client = standin.client()
    ring = maps.built_in("StandInRing")
    world = client.generate_opendrive_world(ring.xodr, carla.OpendriveGenerationParameters())
    assert world.get_map().name.endswith("OpenDriveMap")
    assert len(world.get_map().get_spawn_points()) == len(maps.spawn_points(ring))
    with pytest.raises(RuntimeError, match="opendrive could not be read"):
        client.generate_opendrive_world(
            '<OpenDRIVE><road id="1"><planView><geometry s="0" x="0" y="0" hdg="0" length="9"><spiral/>'
            "</geometry></planView></road></OpenDRIVE>",
            carla.OpendriveGenerationParameters(),
        )


def test_two_clients_see_one_world(standin):
    world = standin.synchronous_world()
    ego = spawn(world)
    world.tick()
    other = standin.client().get_world()
    assert other.id == world.id
    frame = world.tick()
    assert other.tick() == frame + 1  # two ticking clients: two frames
    seen = other.get_actor(ego.id)
    assert seen.type_id == "vehicle.tesla.model3"
    assert seen.get_location().distance(ego.get_location()) < 1e-3
    assert seen.destroy()
    world.tick()
    assert world.get_snapshot().find(ego.id) is None


def test_teleport_target_velocity_and_switched_off_physics(standin):
    world = standin.synchronous_world()
    ego, target = spawn(world), world.get_map().get_spawn_points()[20]
    ego.set_transform(target)
    forward = target.get_forward_vector()
    ego.set_target_velocity(carla.Vector3D(5.0 * forward.x, 5.0 * forward.y, 0.0))
    world.tick()
    assert ego.get_velocity().length() == pytest.approx(5.0, abs=0.1)
    assert ego.get_location().distance(target.location) < 1.0
    ego.set_simulate_physics(False)
    world.tick()
    place = ego.get_location()
    ego.apply_control(carla.VehicleControl(throttle=1.0))
    world.tick()
    assert ego.get_location().distance(place) == 0.0


def test_weather_is_remembered_and_spectator_moves(standin):
    world = standin.synchronous_world()
    world.set_weather(carla.WeatherParameters.HardRainNoon)
    world.tick()
    assert world.get_weather() == carla.WeatherParameters.HardRainNoon
    spectator = world.get_spectator()
    spectator.set_transform(carla.Transform(carla.Location(1.0, 2.0, 3.0)))
    world.tick()
    assert spectator.get_location().distance(carla.Location(1.0, 2.0, 3.0)) < 1e-4


def test_orphaned_sensors_and_missing_parents(standin):
    world = standin.synchronous_world()
    ego = spawn(world)
    camera = standin.camera(world, ego)
    world.tick()
    camera.next()
    ego.destroy()
    assert world.tick() == camera.next().frame  # it stays where it was
    blueprint = world.get_blueprint_library().find("sensor.other.imu")
    with pytest.raises(RuntimeError, match="parent actor not found"):
        world.spawn_actor(blueprint, carla.Transform(), attach_to=ego)


def test_no_rendering_mode_sends_no_pictures(standin):
    world = standin.synchronous_world()
    camera = standin.camera(world, spawn(world))
    world.tick()
    camera.next()
    settings = world.get_settings()
    settings.no_rendering_mode = True
    world.apply_settings(settings)
    while not camera.images.empty():
        camera.images.get()
    world.tick()
    with pytest.raises(queue.Empty):
        camera.next(0.3)
