"""Traffic and a verdict."""
