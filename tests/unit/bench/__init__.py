"""Tests of what benchmarks write."""
