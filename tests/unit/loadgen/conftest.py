"""Property tests without a time limit for each example: the machine is shared, and one of them is slow at times."""

from hypothesis import settings

settings.register_profile("signalbox", deadline=None)
settings.load_profile("signalbox")
