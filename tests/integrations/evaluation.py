"""An evaluation by Inspect with a scripted model and real tools, in a process of its own: `evaluation.py LOG_DIR`.

Nothing here imports workroom: Inspect finds the sandbox by its entry point.
"""

import json
import sys

from inspect_ai import Task, eval  # noqa: A004 - Inspect's name
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import bash, text_editor

MODEL = "mockllm/model"


def main() -> None:
    sample = Sample(
        input="What is in the note?",
        target="swordfish",
        files={"note.txt": "swordfish"},
        setup="#!/bin/bash\ntr a-z A-Z < note.txt > loud.txt",
    )
    tools = [bash(timeout=60), text_editor()]
    task = Task(dataset=[sample], solver=[use_tools(tools), generate()], scorer=includes(), sandbox="workroom")
    edit = {"command": "create", "path": "/testbed/new.txt", "file_text": "made by a tool\n"}
    outputs = [
        ModelOutput.for_tool_call(MODEL, "text_editor", edit),
        ModelOutput.for_tool_call(MODEL, "bash", {"command": "cat note.txt loud.txt new.txt; uname -n"}),
        ModelOutput.from_content(MODEL, "It is swordfish."),
    ]
    for output in outputs:  # else Inspect counts tokens with a table that it fetches
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    [log] = eval(task, model=get_model(MODEL, custom_outputs=outputs), log_dir=sys.argv[1], display="none")
    [done] = log.samples or []
    told = [message.text for message in done.messages if message.role == "tool"]
    scores = {name: score.value for name, score in (done.scores or {}).items()}
    json.dump({"status": log.status, "error": str(log.error), "tools": told, "scores": scores}, sys.stdout)


if __name__ == "__main__":
    main()
