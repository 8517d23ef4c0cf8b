"""What a run leaves behind: metrics on disk (the truth), its mirror in wandb, progress on the terminal."""
