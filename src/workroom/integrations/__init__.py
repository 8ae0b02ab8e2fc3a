"""The sandbox in other projects' clothes. Each module needs the project that it is named after, and nothing else of it.

inspect.py         an Inspect AI sandbox provider: `sandbox="workroom"`
minisweagent.py    an environment for mini-swe-agent, for its setting `environment_class`
"""
