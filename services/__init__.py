"""The four services; each is started with `python -m services.<name>` and imports none of the others."""
