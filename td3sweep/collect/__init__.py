"""Acting: where the environment steps come from that the loop in ``trainer.py`` learns from."""
