"""Attacks on the sandbox, from the inside, and what must not have come of them."""
