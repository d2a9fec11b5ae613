"""Kafka in, PostgreSQL out: vitals, issues, and background jobs."""
