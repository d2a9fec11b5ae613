"""`make chaos`: parts are killed, frozen and starved under traffic, and what was promised is counted afterwards."""
