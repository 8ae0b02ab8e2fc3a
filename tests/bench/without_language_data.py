"""Tries every checker where NLTK finds no data, and prints which failed for it and what was asked for outside."""

import inspect
import json
import logging
import sys

from workroom.bench.graders.language_data import _nltk, checkers

TEXT = "Yes, she said. It was so."
# A value of the right kind for whatever a checker wants to be told.
GIVEN: dict[str, object] = {
    "capital_relation": "at least",
    "forbidden_words": ["no"],
    "keywords": ["yes"],
    "language": "en",
    "let_relation": "at least",
    "options": "yes/no",
    "postscript_marker": "P.S.",
    "prompt_to_repeat": TEXT,
    "reference_text": TEXT,
    "relation": "at least",
    "section_spliter": "Section",
    **dict.fromkeys(["end_phrase", "first_word", "keyword", "letter", "sep", "word"], "y"),
    **{f"keyword{number}": "y" for number in range(1, 6)},
}

addresses: list[str] = []
logging.disable()
sys.addaudithook(lambda event, _: addresses.append(event) if event.startswith("socket.") else None)

_nltk().data.path[:] = []
tried, failed = 0, []
for benchmark in ("ifbench", "ifeval"):
    for name, kind in checkers(benchmark).items():
        checker = kind(name)
        wanted = inspect.signature(checker.build_description).parameters.values()
        checker.build_description(**{one.name: GIVEN.get(one.name, 1) for one in wanted if one.kind != one.VAR_KEYWORD})
        tried += 1
        try:
            checker.check_following(TEXT)
        except LookupError:
            failed.append(name)
modules = [name for name in ("if_verifiable", "datasets", "pyarrow") if name in sys.modules]
print(json.dumps({"tried": tried, "failed": sorted(failed), "addresses": addresses, "modules": modules}))
