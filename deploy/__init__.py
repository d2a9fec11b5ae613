"""Everything that puts signalbox on a machine."""
