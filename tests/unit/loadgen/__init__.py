"""loadgen, part by part."""
