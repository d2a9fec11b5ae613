"""Example tables and rows for the cache to read, so that it can be tried at once."""
