"""A stand-in for the CARLA 0.9.16 server: the wire protocol is CARLA's, the world behind it is a toy.

It lets the real, unmodified ``carla`` wheel run where no CARLA server can. Cars are bicycle models on a
flat world and the camera paints simple pixels, so a score obtained here is never a CARLA result. Start it
as its own process: ``python -m td3sweep.standin -carla-rpc-port=2000``.
"""
