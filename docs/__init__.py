"""What signalbox's people read; `python -m docs.generate` writes the part that the code knows best."""
