"""The checkers of if-verifiable, imported so that nothing is fetched, and the English data that some of them need.

Three of NLTK's resources are no code and come from nowhere by themselves:

punkt_tab                        sentences and, through them, words as NLTK counts them
stopwords                        the English stop words
averaged_perceptron_tagger_eng   parts of speech

if-verifiable 0.1.2 downloads them when it is imported. Here that is blocked: grading never asks the network, and what
is missing is told before (`missing_data`) or leaves the item unscored. Two routes bring the official files:

    python -m nltk.downloader punkt_tab stopwords averaged_perceptron_tagger_eng
    pip install --no-deps llama-index-core

The second is for machines that reach a package index only: that wheel carries the first two in a folder, and is never
imported. No verdict differs: the resources are NLTK's own either way.
"""

import contextlib
import functools
import importlib
import importlib.util
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from workroom.task import Task

Benchmark = Literal["ifbench", "ifeval"]

_PLACES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "punkt_tab": "tokenizers/punkt_tab/english/",
        "stopwords": "corpora/stopwords/english",
        "averaged_perceptron_tagger_eng": "taggers/averaged_perceptron_tagger_eng/",
    }
)
_CARRIED: Final = frozenset({"punkt_tab", "stopwords"})  # by llama-index-core

# Which instructions use which, by their identifiers; the tests try every checker without any data.
NEEDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "change_case:capital_word_frequency": ("punkt_tab",),
        "format:title_case": ("punkt_tab",),
        "length_constraints:number_sentences": ("punkt_tab",),
        "ratio:stop_words": ("stopwords",),
        "words:keywords_specific_position": ("punkt_tab",),
        "words:start_verb": ("punkt_tab", "averaged_perceptron_tagger_eng"),
        "words:words_position": ("punkt_tab",),
    }
)


@functools.cache
def checkers(benchmark: Benchmark) -> Mapping[str, type[Any]]:
    """The instruction classes of a benchmark by identifier. Raises ImportError without the extra `bench`."""
    import langdetect  # type: ignore[import-untyped]

    langdetect.DetectorFactory.seed = 0  # else its verdict on a short answer is drawn at random
    with _no_download(), _no_front_door():
        registry = importlib.import_module(f"if_verifiable.{benchmark}.instructions_registry")
    return MappingProxyType(registry.INSTRUCTION_DICT)


def missing(instructions: Iterable[str]) -> list[str]:
    """The resources that these instructions need and this machine lacks."""
    needed = {resource for name in instructions for resource in NEEDS.get(name, ())}
    if not needed:
        return []
    absent = []
    for name in sorted(needed):
        try:
            _nltk().data.find(_PLACES[name])
        except LookupError:
            absent.append(name)
    return absent


def how_to_fetch(resources: Iterable[str]) -> str:
    """The command that brings these resources, with the second one where it serves too."""
    names = list(resources)
    command = f"python -m nltk.downloader {' '.join(names)}"
    if _CARRIED.issuperset(names):
        command += " (or, from a package index alone: pip install --no-deps llama-index-core)"
    return command


def missing_data(tasks: Iterable[Task]) -> str:
    """One sentence on what tasks of IFBench and IFEval lack on this machine, empty where they lack nothing."""
    lists = [task.meta.get("instruction_id_list") or () for task in tasks]
    absent = missing(name for names in lists for name in names)
    if not absent:
        return ""
    unscored = sum(any(set(absent).intersection(NEEDS.get(name, ())) for name in names) for names in lists)
    return (
        f"{unscored} of {len(lists)} tasks will stay unscored, since their checkers need NLTK's {', '.join(absent)}: "
        f"{how_to_fetch(absent)}"
    )


@functools.cache
def _nltk() -> Any:
    """NLTK, which looks last into the folder of llama-index-core, if that is installed. Nothing of it is imported."""
    import nltk  # type: ignore[import-untyped]

    with contextlib.suppress(ModuleNotFoundError):
        spec = importlib.util.find_spec("llama_index.core")
        for place in (spec and spec.submodule_search_locations) or ():
            nltk.data.path.append(str(Path(place) / "_static/nltk_cache"))
    return nltk


@contextlib.contextmanager
def _no_download() -> Iterator[None]:
    nltk = _nltk()
    real = nltk.download
    nltk.download = lambda *_args, **_options: False
    try:
        yield
    finally:
        nltk.download = real


@contextlib.contextmanager
def _no_front_door() -> Iterator[None]:
    """`if_verifiable/__init__.py` imports `datasets`: a second and 90 MiB for each worker, for a loader not used here.

    An empty module stands in for it while its folders are imported.
    """
    name = "if_verifiable"
    if name in sys.modules:
        yield
        return
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    stand_in = types.ModuleType(name)
    stand_in.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        del sys.modules[name]
