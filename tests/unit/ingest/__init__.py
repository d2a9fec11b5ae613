"""Tests of ingest without Kafka."""
