"""What signalbox is compared with."""
