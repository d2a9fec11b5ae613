"""All SQL of the jobs service: one module a kind of thing, each a set of functions over a connection."""
