"""deploy/local without its servers."""
