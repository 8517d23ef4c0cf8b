"""The CARLA environment: server life cycle, stepping, observation, reward and ends."""
