"""What the monitor sees, and what it takes for a fault."""
