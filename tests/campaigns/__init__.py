"""Long runs of random histories. Each names its seed when it fails."""
