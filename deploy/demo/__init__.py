"""`make demo`: the main job from nothing, on real traffic of every kind."""
