"""The ReAct loop between a model and a sandbox.

loop.py        Agent, what callers use             limits.py     bounds and the account of what is used
episode.py     sandbox mode: turns and tool calls  context.py    the conversation, and making it fit the window
completion.py  llm mode: one completion            calls.py      awaiting a call while events go on
base.py        what both modes share               documents.py  a task's documents, in and as text
accounting.py  what each call used               prices.py     what models cost
chat.py        an episode as part of a chat      prompts/      all that is said to the model
"""

from workroom.agent.documents import prepare
from workroom.agent.limits import EpisodeLimits, Pricing
from workroom.agent.loop import Agent

__all__ = ["Agent", "EpisodeLimits", "Pricing", "prepare"]
