"""Every call that a trainer makes of CARLA's client, through the real wheel: where each one is tested.

The table names a test for each; those that no other file has are here.
"""

from __future__ import annotations

import importlib
import os

import pytest

os.environ.setdefault("HOME", "/tmp")
carla = pytest.importorskip("carla")

CLIENT, TRAFFIC, FAULTS, HERE = (
    "test_standin_client",
    "test_standin_traffic",
    "test_standin_faults",
    "test_standin_calls",
)
TESTS = {
    "connect, get_server_version, get_client_version": (CLIENT, "test_version_and_maps_say_what_it_is"),
    "get_world, asynchronous; wait_for_tick": (CLIENT, "test_asynchronous_world_runs_by_itself"),
    "get_world, synchronous; get_settings, apply_settings": (CLIENT, "test_settings_travel_both_ways"),
    "two clients": (CLIENT, "test_two_clients_see_one_world"),
    "get_available_maps": (CLIENT, "test_version_and_maps_say_what_it_is"),
    "generate_opendrive_world": (CLIENT, "test_uploaded_opendrive_becomes_the_map"),
    "get_map, get_spawn_points": (HERE, "test_spawn_points_lie_on_the_lanes_they_name"),
    "get_waypoint, projected or not": (HERE, "test_waypoints_off_the_road_are_projected_or_none"),
    "Waypoint.next, get_left_lane, get_right_lane": (HERE, "test_neighbouring_lanes_and_the_way_ahead"),
    "generate_waypoints, get_topology": (HERE, "test_generated_waypoints_and_the_topology_cover_the_map"),
    "blueprints: filter, find, set_attribute": (CLIENT, "test_blueprints_look_like_the_real_ones"),
    "spawn_actor, try_spawn_actor, collision at spawn": (
        CLIENT,
        "test_occupied_spawn_points_are_refused_in_carlas_words",
    ),
    "spawn_actor with attach_to": (CLIENT, "test_orphaned_sensors_and_missing_parents"),
    "sensor.camera.rgb": (CLIENT, "test_every_camera_frame_carries_the_frame_of_its_tick"),
    "sensor.other.imu, sensor.other.gnss": (CLIENT, "test_imu_and_gnss_agree_with_the_car"),
    "sensor.other.collision": (CLIENT, "test_collision_reports_both_cars_and_slows_the_faster"),
    "sensor.other.lane_invasion": (CLIENT, "test_lane_invasion_is_seen_by_the_client"),
    "apply_control, get_control, get_velocity, get_speed_limit": (CLIENT, "test_car_drives_as_told_and_reads_back"),
    "get_physics_control": (CLIENT, "test_physics_control_tells_the_truth_about_steering"),
    "set_transform, set_target_velocity, set_simulate_physics": (
        CLIENT,
        "test_teleport_target_velocity_and_switched_off_physics",
    ),
    "get_traffic_light_state, is_at_traffic_light": (HERE, "test_there_are_no_traffic_lights"),
    "get_snapshot, find": (HERE, "test_the_snapshot_lists_every_actor"),
    "get_actors, get_actor, filter": (HERE, "test_the_snapshot_lists_every_actor"),
    "set_weather, get_weather": (CLIENT, "test_weather_is_remembered_and_spectator_moves"),
    "apply_batch_sync with FutureActor": (CLIENT, "test_batch_spawns_a_car_and_acts_on_it_before_it_has_an_id"),
    "get_trafficmanager": (TRAFFIC, "test_traffic_keeps_its_lanes_moves_and_repeats_itself_on_another_server"),
    "reload_world(False)": (CLIENT, "test_reload_empties_the_world_and_keeps_settings"),
    "load_world, a map that is not there": (CLIENT, "test_loading_maps"),
    "load_world_if_different": (HERE, "test_load_world_if_different_loads_once"),
    "on_tick, remove_on_tick": (HERE, "test_on_tick_is_called_once_a_frame_until_removed"),
    "the server is killed": (HERE, "test_a_killed_server_times_out_and_a_new_one_serves_a_new_client"),
    "the server hangs": (FAULTS, "test_hang_after_some_ticks_and_sigterm_still_works"),
}


@pytest.mark.parametrize("call", TESTS)
def test_the_table_names_tests_that_exist(call):
    module, name = TESTS[call]
    assert callable(getattr(importlib.import_module(module), name))


def spawn(world, index: int = 0):
    blueprint = world.get_blueprint_library().find("vehicle.tesla.model3")
    return world.spawn_actor(blueprint, world.get_map().get_spawn_points()[index])


def test_spawn_points_lie_on_the_lanes_they_name(standin):
    road_map = standin.client().get_world().get_map()
    points = road_map.get_spawn_points()
    assert len(points) > 20
    for point in points:
        lane = road_map.get_waypoint(point.location).transform
        assert point.location.distance(lane.location) < 0.6  # its height above the ground
        assert point.get_forward_vector().dot(lane.get_forward_vector()) > 0.999


def test_waypoints_off_the_road_are_projected_or_none(standin):
    road_map = standin.client().get_world().get_map()
    point = road_map.get_spawn_points()[0]
    aside = point.transform(carla.Location(y=30.0))
    assert road_map.get_waypoint(aside, project_to_road=False) is None
    assert road_map.get_waypoint(aside).transform.location.distance(aside) > 10.0
    here = road_map.get_waypoint(point.location, project_to_road=False)
    assert here.lane_width == pytest.approx(3.5, abs=0.5)
    assert here.lane_type == carla.LaneType.Driving


def test_neighbouring_lanes_and_the_way_ahead(standin):
    client = standin.client()
    road_map = client.load_world("StandInHighway").get_map()
    inner = next(
        point
        for point in map(road_map.get_waypoint, (spot.location for spot in road_map.get_spawn_points()))
        if abs(point.lane_id) == 1
    )
    outer = inner.get_right_lane()
    assert (outer.lane_id, outer.get_left_lane().lane_id) == (2 * inner.lane_id, inner.lane_id)
    assert inner.get_left_lane().lane_id == -inner.lane_id  # the oncoming lane
    (ahead,) = inner.next(5.0)
    assert ahead.transform.location.distance(inner.transform.location) == pytest.approx(5.0, abs=0.2)
    (behind,) = ahead.previous(5.0)
    assert behind.transform.location.distance(inner.transform.location) < 0.3


def test_generated_waypoints_and_the_topology_cover_the_map(standin):
    road_map = standin.client().get_world().get_map()
    points = road_map.generate_waypoints(2.0)
    roads = {point.road_id for point in points}
    begins = {begin.road_id for begin, _ in road_map.get_topology()}
    assert len(points) > 200
    assert begins == roads


def test_there_are_no_traffic_lights(standin):
    world = standin.synchronous_world()
    ego = spawn(world)
    world.tick()
    assert not ego.is_at_traffic_light()
    assert ego.get_traffic_light_state() == carla.TrafficLightState.Green
    assert ego.get_traffic_light() is None
    assert len(world.get_actors().filter("traffic.*")) == 0


def test_the_snapshot_lists_every_actor(standin):
    world = standin.synchronous_world()
    ego = spawn(world)
    camera = standin.camera(world, ego)
    frame = world.tick()
    camera.next()
    snapshot = world.get_snapshot()
    listed = {actor.id for actor in snapshot}
    assert snapshot.frame == frame
    assert listed == {ego.id, camera.actor.id, world.get_spectator().id} == {actor.id for actor in world.get_actors()}
    assert snapshot.find(ego.id).get_transform().location.distance(ego.get_location()) < 1e-4
    assert snapshot.find(10_000) is None
    assert world.get_actor(ego.id).type_id == "vehicle.tesla.model3"
    assert [actor.id for actor in world.get_actors().filter("sensor.*")] == [camera.actor.id]


def test_load_world_if_different_loads_once(standin):
    client = standin.client()
    before = client.get_world().id
    client.load_world_if_different("StandInTown")
    assert client.get_world().id == before
    client.load_world_if_different("StandInRing")
    world = client.get_world()
    assert world.id != before
    assert world.get_map().name.endswith("StandInRing")


def test_on_tick_is_called_once_a_frame_until_removed(standin):
    world = standin.synchronous_world()
    frames: list[int] = []
    handle = world.on_tick(lambda snapshot: frames.append(snapshot.frame))
    ticked = [world.tick() for _ in range(5)]
    world.remove_on_tick(handle)
    world.tick()
    assert frames == ticked


def test_a_killed_server_times_out_and_a_new_one_serves_a_new_client(start_standin):
    first = start_standin()
    world = first.synchronous_world(first.client(timeout=1.0))
    world.tick()
    first.process.kill()
    first.process.wait()
    with pytest.raises(RuntimeError, match="time-out of 1000ms"):
        world.tick()
    assert start_standin().client().get_server_version() == "0.9.16"
