"""The tasks of a suite: from data files (JSONL), or from a data set of the hub.

An item is a line: `id`, `domain`, `question`, `answer`, `choices`?, `documents`? (`{name, text}`, or `{name, file}`
with `sha256` and `bytes` of a file in the data file's folder), `grader`?, `meta`?. Lines end with a line feed and
nothing else: texts may hold U+2028 and the like.
"""

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from workroom.bench.items import Item
from workroom.bench.suite import Suite
from workroom.errors import ConfigError
from workroom.task import Task


def load_tasks(suite: Suite, data: Path | Sequence[Path] | None = None, source: str | None = None) -> list[Task]:
    """The tasks of the suite: in `data` (files, or folders that are searched for *.jsonl), else of the source.

    Without both, the suite's own data file counts, then its first source. Of data files those items are taken whose
    `domain` belongs to the suite, or that have none; several files take turns, so that a limit draws from all of them.
    Raises ConfigError for what cannot be read, is malformed, or holds no item of the suite.
    """
    places = [data] if isinstance(data, Path) else list(data or ())
    if places and source is not None:
        raise ConfigError("give a file with --data or a source with --source, not both")
    if not places and source is None and suite.data is not None:
        places = [suite.data]
    if places:
        items = list(_local(suite, places))
    else:
        from workroom.bench.hub import read_source

        found = suite.source(source)
        if found is None:
            raise ConfigError(f"the suite {suite.name} has no data of its own: give a file with --data PATH")
        items = list(read_source(found))
    return _tasks(suite, items)


def select(
    tasks: Sequence[Task], limit: int | None = None, ids: Iterable[str] = (), shuffle_seed: int | None = None
) -> list[Task]:
    """Those of these ids (none: all), in an order drawn by the seed (None: as they are), the first `limit`.

    Raises ConfigError for ids that no task has, and for a limit below 1.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"the limit must be at least 1, not {limit}")
    wanted = list(dict.fromkeys(ids))
    known = {task.id: task for task in tasks}
    if unknown := [id_ for id_ in wanted if id_ not in known]:
        raise ConfigError(f"there is no task {', '.join(unknown)}; an id of this data is {next(iter(known), 'none')}")
    chosen = [known[id_] for id_ in wanted] if wanted else list(tasks)
    if shuffle_seed is not None:
        random.Random(shuffle_seed).shuffle(chosen)
    return chosen[:limit]


def _tasks(suite: Suite, items: Iterable[Item]) -> list[Task]:
    places: dict[str, str] = {}
    tasks = []
    for item in items:
        task = item.task(suite)
        if task.id in places:
            raise item.wrong(f"the id {task.id!r} is taken, it is in {places[task.id]}")
        places[task.id] = item.where
        tasks.append(task)
    return tasks


def _local(suite: Suite, places: Sequence[Path]) -> Iterator[Item]:
    """The items that belong to the suite, of all files in turn."""
    belonging: list[list[Item]] = []
    domains: set[str] = set()
    for path in (path for place in places for path in files_of(place)):
        items = list(read_items(path))
        domains.update(str(item.fields["domain"]) for item in items if "domain" in item.fields)
        belonging.append([item for item in items if _belongs(item, suite)])
    if not any(belonging):
        raise ConfigError(
            f"{', '.join(map(str, places))} holds nothing for the suite {suite.name}: its items have the domain "
            f"{', '.join(sorted(domains))}, and the suite takes {', '.join(suite.domains)}"
        )
    for turn in zip_longest(*belonging):
        yield from (item for item in turn if item is not None)


def _belongs(item: Item, suite: Suite) -> bool:
    domain = item.fields.get("domain")
    return domain is None or not suite.domains or domain in suite.domains


def files_of(data: Path) -> list[Path]:
    """The data file, or those in the folder. Raises ConfigError where there is none."""
    if data.is_dir():
        files = sorted(path for path in data.rglob("*.jsonl") if path.is_file())
        if not files:
            raise ConfigError(f"there is no data in {data}: it holds no *.jsonl")
        return files
    if not data.exists():
        raise ConfigError(f"the data file {data} does not exist")
    return [data]


def read_items(path: Path) -> Iterator[Item]:
    """The lines of a file as items. Raises ConfigError for a file that cannot be read or has no line."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"the data file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the data file {path} is not UTF-8 text (byte {error.start})") from error
    if not text.strip():
        raise ConfigError(f"there is no data in {path}: the file is empty")
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            where = f"{path}, line {number}"
            try:
                fields = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ConfigError(f"{where} is no JSON: {error}") from error
            if not isinstance(fields, dict):
                raise ConfigError(f"{where} must be a JSON object")
            yield Item(fields, where, f"{path.stem}-{number}", path.parent)
