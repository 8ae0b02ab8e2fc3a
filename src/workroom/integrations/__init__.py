"""The sandbox in other projects' clothes. Each module needs the project that it is named after, and nothing else of it.

inspect.py         an Inspect AI sandbox provider: `sandbox="workroom"`
verifiers.py       tasks and a harness for verifiers and prime-rl: the loop and the sandbox
minisweagent.py    an environment for mini-swe-agent, for its setting `environment_class`
"""
