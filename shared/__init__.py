"""What two or more services import, and nothing else."""
