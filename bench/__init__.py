"""Benchmarks: each against a peer or a limit, in one run, on one machine (`python -m bench NAME`)."""
