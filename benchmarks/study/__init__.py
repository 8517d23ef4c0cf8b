"""The described system's claims, tried."""
