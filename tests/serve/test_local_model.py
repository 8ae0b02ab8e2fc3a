"""The official client completes a task with a file in and a file out on the local model, streaming and not."""

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.serve.support import Server
from workroom.models.local import status

NAME = "local/qwen2.5-coder-1.5b"
READY = any(row.name == NAME and row.installed for row in status())
pytestmark = [
    pytest.mark.local_model,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not READY, reason=f"needs the local model: workroom models pull {NAME}"),
]
TEXT = "The boat left at dawn.\nNobody waved.\nGulls followed it.\n"
PROMPT = "Write the text of notes.txt in capital letters to the file /testbed/output/capitals.txt."


@pytest.mark.parametrize("stream", [True, False])
def test_a_file_in_and_a_file_out(place: Path, stream: bool) -> None:
    data = "data:text/plain;base64," + base64.b64encode(TEXT.encode()).decode()
    part = {"type": "file", "file": {"filename": "notes.txt", "file_data": data}}
    asked: Any = [{"role": "user", "content": [{"type": "text", "text": PROMPT}, part]}]
    with Server(place, "-m", NAME, "--max-turns", "8") as server:
        client = server.client().with_options(timeout=1500)
        options: Any = {"model": NAME, "messages": asked, "temperature": 0, "stream": stream}
        answer = client.chat.completions.create(**options)
        messages = [chunk.choices[0].delta for chunk in answer] if stream else [answer.choices[0].message]
        made = {file["filename"]: file["id"] for message in messages for file in getattr(message, "files", None) or ()}
        content = client.files.content(made["capitals.txt"]).read().decode()
        assert content.strip() == TEXT.upper().strip()
        assert "capitals.txt" in "".join(message.content or "" for message in messages)
