"""Adapters around trainers: each takes rollouts as `records` has them, and nothing here knows how an episode is run."""
