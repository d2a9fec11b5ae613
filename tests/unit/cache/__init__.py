"""Tests: unit, cache."""
