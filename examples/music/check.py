"""Says whether a run solved `task.md`: the MIDI file and the sound are read here, byte by byte.

python examples/music/check.py RUN_DIR
"""

import csv
import io
import math
import sys
import wave
from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from checking import data, main, need, text

HERE = Path(__file__).parent
TICKS, BARS, BEATS, TEMPO = 480, 16, 4, 96
BAR = TICKS * BEATS
END = BARS * BAR
SECONDS = BARS * BEATS * 60 / TEMPO
RATE = 44_100
SHORTEST, SOFTEST = TICKS // 16, 10  # ticks, velocity: what is less than a sixty-fourth, or hardly struck, is not heard
PITCHES = range(48, 84)  # where the notes of a chord are looked for in the sound
ROOTS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
TRACKS = ["melody", "chords", "bass"]


@dataclass
class Track:
    """Times in ticks. A note is (start, end, pitch)."""

    name: str = ""
    notes: list[tuple[int, int, int]] = field(default_factory=list)
    softest: int = 127
    tempos: list[tuple[int, int]] = field(default_factory=list)  # time, microseconds of a quarter note
    metres: list[tuple[int, int, int]] = field(default_factory=list)  # time, numerator, denominator
    end: int | None = None


def chords() -> list[frozenset[int]]:
    """The pitch classes of each bar's chord; the root is told by `roots`."""
    return [frozenset((root, root + (3 if minor else 4), root + 7)) for root, minor in _chart()]


def _chart() -> list[tuple[int, bool]]:
    names = (HERE / "documents" / "chart.txt").read_text().replace("|", " ").split()
    return [(ROOTS[name[0]], name.endswith("m")) for name in names]


def motif() -> list[tuple[int, int, int]]:
    """The notes of the motif, as those of a track."""
    lines = csv.DictReader((HERE / "documents" / "motif.csv").open())
    found = [(float(line["beat"]), float(line["duration"]), int(line["pitch"])) for line in lines]
    return [(round(at * TICKS), round((at + length) * TICKS), pitch) for at, length, pitch in found]


@cache
def tracks(run: Path) -> list[Track]:
    """All tracks of the MIDI file. Raises Wrong or IndexError where it is none."""
    content = data(run, "files/piece.mid")
    need(content[:4] == b"MThd", "piece.mid is no MIDI file")
    division = int.from_bytes(content[12:14], "big")
    need(division == TICKS, f"piece.mid has {division} ticks to the quarter note in place of {TICKS}")
    at = 8 + int.from_bytes(content[4:8], "big")
    found = []
    while at + 8 <= len(content):
        kind, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "big")
        body = content[at + 8 : at + 8 + size]
        need(len(body) == size, "piece.mid is cut off")
        if kind == b"MTrk":
            found.append(_track(body))
        at += 8 + size
    need(len(found) == int.from_bytes(content[10:12], "big"), "piece.mid has not as many tracks as it says")
    return found


def _number(body: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, and where it ends."""
    value = 0
    while True:
        byte = body[at]
        value, at = value << 7 | byte & 127, at + 1
        if byte < 128:
            return value, at


def _track(body: bytes) -> Track:
    track, at, now, status = Track(), 0, 0, 0
    sounding: dict[tuple[int, int], list[int]] = defaultdict(list)
    while at < len(body):
        delta, at = _number(body, at)
        now += delta
        if body[at] >= 128:
            status, at = body[at], at + 1
        if status in (0xFF, 0xF0, 0xF7):
            meta = body[at] if status == 0xFF else None
            size, at = _number(body, at + (status == 0xFF))
            _take_meta(track, meta, body[at : at + size], now)
            at += size
            continue
        kind, key = status & 0xF0, (status & 15, body[at])
        value = body[at + 1] if kind not in (0xC0, 0xD0) else 0
        at += 1 if kind in (0xC0, 0xD0) else 2
        if kind == 0x90 and value:
            sounding[key].append(now)
            track.softest = min(track.softest, value)
        elif kind in (0x80, 0x90):
            need(sounding[key], f"track {track.name!r} ends a note that does not sound")
            track.notes.append((sounding[key].pop(0), now, key[1]))
    need(not any(sounding.values()), f"track {track.name!r} has notes that never end")
    track.notes.sort()
    return track


def _take_meta(track: Track, kind: int | None, value: bytes, now: int) -> None:
    if kind == 0x03:
        track.name = value.decode("latin-1")
    elif kind == 0x51:
        track.tempos.append((now, int.from_bytes(value, "big")))
    elif kind == 0x58:
        track.metres.append((now, value[0], 1 << value[1]))
    elif kind == 0x2F:
        track.end = now


def _named(run: Path, name: str) -> Track:
    found = [track for track in tracks(run) if track.name.strip() == name]
    need(len(found) == 1, f"piece.mid has {len(found)} tracks named {name!r}")
    need(found[0].notes, f"the track {name!r} has no notes")
    return found[0]


def form(run: Path) -> str:
    """A MIDI file of 16 bars in 4/4 at 96 to the minute"""
    every = tracks(run)
    tempos = {tempo for track in every for tempo in track.tempos}  # each track may say it
    need(tempos == {(0, 60_000_000 // TEMPO)}, f"the tempos are {tempos}, not 625,000 µs a quarter note from the start")
    metres = {metre for track in every for metre in track.metres}
    need(metres == {(0, 4, 4)}, f"the metres are {metres}, not 4/4 from the start")
    for name in TRACKS:
        track = _named(run, name)
        last = max(end for _, end, _ in track.notes)
        need(last <= END, f"{name} sounds until tick {last}, and bar 16 ends at {END}")
        need(track.end == END, f"{name} ends at tick {track.end}, not at {END}")
        short, at = min((end - start, start) for start, end, _ in track.notes)
        need(short >= SHORTEST, f"{name} has a note of {short} ticks at tick {at}, which nobody hears")
        need(track.softest >= SOFTEST, f"{name} has a note of velocity {track.softest}, which nobody hears")
    return f"{SECONDS:g} s"


def melody(run: Path) -> str:
    """The melody begins with the motif and goes through all bars, one note at a time"""
    notes, wanted = _named(run, "melody").notes, motif()
    need(notes[: len(wanted)] == wanted, f"it begins {notes[: len(wanted)]} in place of the motif")
    for (_, end, _), (start, _, pitch) in pairwise(notes):
        need(start >= end, f"the note {pitch} at tick {start} begins while another sounds")
    for bar, chord in enumerate(chords()):
        need(any(bar * BAR <= start < (bar + 1) * BAR for start, _, _ in notes), f"no note begins in bar {bar + 1}")
        first = [pitch for start, end, pitch in notes if start <= bar * BAR < end]
        need(first, f"nothing sounds on the first beat of bar {bar + 1}")
        classes = {pitch % 12 for pitch in chord}
        need(first[0] % 12 in classes, f"bar {bar + 1} begins with {first[0]}, which is no note of its chord")
    return f"{len(notes)} notes"


def harmony(run: Path) -> str:
    """The chords are those of the chart"""
    notes = _named(run, "chords").notes
    for bar, chord in enumerate(chords()):
        heard = {pitch % 12 for start, end, pitch in notes if start < (bar + 1) * BAR and end > bar * BAR}
        wanted = {pitch % 12 for pitch in chord}
        need(heard == wanted, f"bar {bar + 1} has the pitch classes {sorted(heard)}, not {sorted(wanted)}")
    return f"{BARS} bars"


def bass(run: Path) -> str:
    """The bass begins every bar with the root"""
    notes = _named(run, "bass").notes
    for bar, (root, _) in enumerate(_chart()):
        first = [pitch for start, _, pitch in notes if start == bar * BAR]
        need(len(first) == 1, f"bar {bar + 1} begins with {len(first)} notes")
        need(first[0] % 12 == root and first[0] < 53, f"bar {bar + 1} begins with {first[0]}")
    return f"{len(notes)} notes"


def heard(run: Path) -> tuple[Sequence[int], int]:
    """The samples of the sound, and of how many channels they are."""
    try:
        with wave.open(io.BytesIO(data(run, "files/piece.wav"))) as file:
            form = (file.getsampwidth(), file.getframerate())
            channels, frames = file.getnchannels(), file.getnframes()
            samples = array("h", file.readframes(frames))
    except (wave.Error, EOFError) as error:
        raise ValueError(f"piece.wav: {error}") from None
    need(form == (2, RATE), f"piece.wav has {8 * form[0]} bit at {form[1]} Hz")
    return samples, channels


def sound(run: Path) -> str:
    """The sound has the right length, is heard in every bar, and is not clipped"""
    samples, channels = heard(run)
    length = len(samples) / channels / RATE
    need(abs(length - SECONDS) <= 0.1, f"piece.wav is {length:.2f} s long in place of {SECONDS:g}")
    loudest = max(map(abs, samples))
    clipped = sum(abs(sample) >= 32_767 for sample in samples)
    need(clipped < 10, f"{clipped} samples are clipped")
    size = len(samples) // BARS
    for bar in range(BARS):
        part = samples[bar * size : (bar + 1) * size : 7]
        mean = sum(part) / len(part)  # a constant is not heard
        level = (sum((sample - mean) ** 2 for sample in part) / len(part)) ** 0.5
        need(level > 300, f"bar {bar + 1} is not to be heard (level {level:.0f} of 32,767)")
    return f"{length:.2f} s, loudest {loudest / 32_768:.2f}"


def agrees(run: Path) -> str:
    """On the first beats one hears the notes of the chords in the sound"""
    every, channels = heard(run)
    samples, right = every[:: 4 * channels], 0  # a quarter of the samples will do, of one channel
    for bar, chord in enumerate(chords()):
        at = round((bar * BEATS * 60 / TEMPO + 0.05) * RATE / 4)  # once it has been struck
        part = samples[at : at + round(0.3 * RATE / 4)]
        powers = {pitch: power(part, 440 * 2 ** ((pitch - 69) / 12)) for pitch in PITCHES}
        own = [value for pitch, value in powers.items() if pitch % 12 in {note % 12 for note in chord}]
        other = [value for pitch, value in powers.items() if pitch % 12 not in {note % 12 for note in chord}]
        right += sum(own) / len(own) > 2 * sum(other) / len(other)
    need(right >= BARS * 3 // 4, f"only in {right} of {BARS} bars are they louder than others")
    return f"{right} of {BARS} bars"


def power(samples: Sequence[int], frequency: float) -> float:
    """How strong a frequency is, by Goertzel's method."""
    turn = 2 * math.cos(2 * math.pi * frequency / (RATE / 4))
    one = two = 0.0
    for sample in samples:
        one, two = sample + turn * one - two, one
    return one * one + two * two - turn * one * two


def answer(run: Path) -> str:
    """The answer is the length in seconds"""
    given = text(run, "answer.txt").strip()
    need(float(given) == SECONDS, f"it is {given!r}")
    return given


if __name__ == "__main__":
    sys.exit(main([form, melody, harmony, bass, sound, agrees, answer]))
