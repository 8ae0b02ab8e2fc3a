"""LLM-in-Sandbox-RL: training by outcome reward on questions whose context lies as files in the sandbox.

`data/` makes tasks, `rollouts` runs episodes on them with the loop, tools and sandboxes of `workroom run`, `rewards`
grades what they leave, `records` is what is handed to an engine, and `engines/` are thin adapters around trainers.
"""
