"""Cached reads with a time to live, invalidated by Kafka."""
