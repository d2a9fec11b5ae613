"""Each part killed, stopped or starved; what is left is looked at."""
