"""The clients: what they send, when they try again, and what they never do to their host."""
