"""The episode that every harness plays in `loop.py`: nine commands and a submit, one a turn, answered at once."""

import json

TURNS = 10
ANSWER = "done"
OBSERVATION = "3 log.txt\n"
BASH = "execute_bash"


def command(turn: int) -> str:
    """What the model runs in this turn, counted from 0."""
    return f'echo "line {turn}" >> log.txt; wc -l log.txt'


def tool_call(turn: int, turns: int) -> tuple[str, str]:
    """Tool and arguments (JSON) of a turn of our own protocol; the last one submits."""
    if turn == turns - 1:
        return "submit", json.dumps({"answer": ANSWER})
    return BASH, json.dumps({"command": command(turn)})


def script(turns: int) -> str:
    """A file for a `scripted/` model."""
    lines = []
    for turn in range(turns):
        name, arguments = tool_call(turn, turns)
        call = {"id": f"c{turn}", "type": "function", "function": {"name": name, "arguments": arguments}}
        lines.append(json.dumps({"role": "assistant", "content": "", "tool_calls": [call]}) + "\n")
    return "".join(lines)
