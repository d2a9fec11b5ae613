"""Hypothesis: how long an example takes says more about the machine's other users than about the code."""

from hypothesis import settings

settings.register_profile("signalbox", deadline=None)
settings.load_profile("signalbox")
