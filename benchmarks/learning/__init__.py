"""What learns, and the cells it is measured in."""
