"""Unit tests of what services share."""
