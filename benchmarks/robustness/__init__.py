"""What survives: faults, kills, soaks."""
