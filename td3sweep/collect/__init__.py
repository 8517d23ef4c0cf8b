"""Acting: where the environment steps come from that the loop in ``training/trainer.py`` learns from."""
