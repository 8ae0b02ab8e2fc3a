"""Says whether a run solved `task.md`: the motion is computed again, and the film's container is read byte by byte.

python examples/video/check.py RUN_DIR
"""

import csv
import math
import struct
import sys
from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from browser import tried
from checking import data, main, need, text

FRAMES, RATE, WIDTH, HEIGHT = 288, 24, 960, 540
G = 9.81
STEPS = 400  # of the integration, a frame
START = (1.2, 1.6, 0.0, 0.0)
PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
ENTRY = 8 + 86  # of a stsd box: where the boxes within its only entry begin, after what every picture's entry has
ALWAYS_420, HIGH = (66, 77), 100  # profiles of H.264 that every browser plays; all have 8 bits


def slope(state: tuple[float, ...]) -> tuple[float, ...]:
    """The derivatives of both angles and both angular velocities; masses and lengths are 1."""
    a, b, v, w = state
    d = a - b
    sine, cosine = math.sin(d), math.cos(d)
    below = 2 - cosine * cosine
    one = (-2 * G * math.sin(a) + cosine * G * math.sin(b) - sine * (w * w + cosine * v * v)) / below
    two = (2 * (v * v * sine - G * math.sin(b)) + cosine * (2 * G * math.sin(a) + w * w * sine)) / below
    return v, w, one, two


@cache
def motion() -> list[tuple[float, float]]:
    """The angles of each frame, by Runge and Kutta's method of fourth order."""
    state: tuple[float, ...] = START
    h, found = 1 / RATE / STEPS, []
    for _ in range(FRAMES):
        found.append((state[0], state[1]))
        for _ in range(STEPS):
            k1 = slope(state)
            k2 = slope(tuple(y + h / 2 * k for y, k in zip(state, k1, strict=True)))
            k3 = slope(tuple(y + h / 2 * k for y, k in zip(state, k2, strict=True)))
            k4 = slope(tuple(y + h * k for y, k in zip(state, k3, strict=True)))
            state = tuple(
                y + h / 6 * (p + 2 * q + 2 * r + s)
                for y, p, q, r, s in zip(state, k1, k2, k3, k4, strict=True)
            )  # fmt: skip
    return found


def boxes(content: bytes, start: int, end: int, path: str = "") -> Iterator[tuple[str, bytes]]:
    """All boxes of an MP4 file that may matter, by their path."""
    at = start
    while at + 8 <= end:
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        head = 8
        if size == 1:
            size, head = struct.unpack(">Q", content[at + 8 : at + 16])[0], 16
        elif size == 0:
            size = end - at
        need(size >= head and at + size <= end, "pendulum.mp4 is cut off")
        name = f"{path}/{kind.decode('latin-1')}"
        if kind in PARENTS:
            yield from boxes(content, at + head, at + size, name)
        elif kind != b"mdat":
            yield name, content[at + head : at + size]
        at += size
    need(at == end, "pendulum.mp4 is cut off")


@cache
def film(run: Path) -> dict[str, bytes]:
    """The boxes of the film's only track, and of the film."""
    content = data(run, "files/pendulum.mp4")
    need(content[4:8] == b"ftyp", "pendulum.mp4 is no MP4 file")
    every = list(boxes(content, 0, len(content)))
    tracks = sum(name.endswith("/tkhd") for name, _ in every)
    need(tracks == 1, f"pendulum.mp4 has {tracks} tracks in place of one")
    return {name.rsplit("/", 1)[1]: body for name, body in every}


def profile(entry: bytes) -> tuple[int, int]:
    """Profile and chroma format (1 is 4:2:0) of an avc1 entry, as the first parameter set says. See H.264, 7.3.2.1."""
    settings = dict(boxes(entry, ENTRY, len(entry))).get("/avcC", b"")
    need(len(settings) > 12 and settings[5] & 31, "pendulum.mp4 does not say how its pictures are encoded")
    number = settings[9]
    if number in ALWAYS_420:
        return number, 1
    bits = iter(f"{int.from_bytes(settings[12:24], 'big'):096b}")
    _, chroma = golomb(bits), golomb(bits)  # the first is the number of the parameter set
    return number, chroma


def golomb(bits: Iterator[str]) -> int:
    """The next number in Exp-Golomb code: as many bits follow the first 1 as zeros came before it."""
    zeros = 0
    while next(bits, "1") == "0":
        zeros += 1
    return int("1" + "".join(next(bits, "0") for _ in range(zeros)), 2) - 1


def angles(run: Path) -> str:
    """The angles are right to 1e-4 in every frame"""
    lines = [line for line in csv.reader(text(run, "files/angles.csv").splitlines()) if line]
    header = ["frame", "t", "theta1", "theta2"]
    need(lines and [cell.strip() for cell in lines[0]] == header, f"the header of angles.csv is not {','.join(header)}")
    need(len(lines) == FRAMES + 1, f"angles.csv has {len(lines) - 1} rows in place of {FRAMES}")
    worst = 0.0
    for number, (line, right) in enumerate(zip(lines[1:], motion(), strict=True)):
        frame, time, one, two = (float(cell) for cell in line)
        need(frame == number and abs(time - number / RATE) < 1e-4, f"row {number} is of frame {frame:g} at {time:g} s")
        off = max(abs(one - right[0]), abs(two - right[1]))
        need(off <= 1e-4, f"frame {number}: {one:.5f}, {two:.5f} in place of {right[0]:.5f}, {right[1]:.5f}")
        worst = max(worst, off)
    return f"off by {worst:.1e} at most"


def container(run: Path) -> str:
    """The film has 288 frames of 960 x 540 in 12 seconds, as H.264 in 4:2:0"""
    parts = film(run)
    need(parts.get("stsd", b"")[12:16] == b"avc1", "pendulum.mp4 is no H.264")
    number, chroma = profile(parts["stsd"])
    need(number in (*ALWAYS_420, HIGH), f"not every browser plays H.264 of the profile {number}")
    need(chroma == 1, f"its colours are not in 4:2:0, but of the chroma format {chroma}")
    width, height = (number >> 16 for number in struct.unpack(">II", parts["tkhd"][-8:]))
    need((width, height) == (WIDTH, HEIGHT), f"the film is {width} x {height}")
    at = 20 if parts["mdhd"][0] else 12
    scale = int.from_bytes(parts["mdhd"][at : at + 4], "big")
    spans = struct.unpack(f">{len(parts['stts'][8:]) // 4}I", parts["stts"][8:])
    frames = sum(spans[::2])
    length = sum(count * span for count, span in zip(spans[::2], spans[1::2], strict=True)) / scale
    need(frames == FRAMES, f"the film has {frames} frames in place of {FRAMES}")
    need(abs(length - FRAMES / RATE) < 0.01, f"the film is {length:.3f} s long")
    return f"{length:g} s"


def moves(run: Path) -> str:
    """It plays, and the picture moves"""
    sizes = struct.unpack(f">{FRAMES}I", film(run)["stsz"][12 : 12 + 4 * FRAMES])
    still = sum(size < 60 for size in sizes)
    need(still < FRAMES // 4, f"{still} frames hold nothing new")
    source = "data:video/mp4;base64," + b64encode(data(run, "files/pendulum.mp4")).decode()
    return tried(f"<video muted src='{source}'></video><canvas width=96 height=54></canvas>", _play)


def _play(page: Any) -> str:
    found = page.evaluate(
        """async () => {
            const film = document.querySelector("video"), canvas = document.querySelector("canvas");
            const within = (start) => new Promise((done, fail) => {
                if (film.error) fail(new Error("the film cannot be played")); // its event is over
                film.addEventListener("error", () => fail(new Error("the film cannot be played")), {once: true});
                setTimeout(() => fail(new Error("nothing came of the film in 60 s")), 60000);
                start(done);
            });
            if (film.readyState < 2) await within((done) => film.addEventListener("loadeddata", done, {once: true}));
            const pictures = [];
            for (const time of [0.5, 3, 6, 11.5]) {
                await within((done) => { // "seeked" comes before the frame is there to be drawn
                    const look = (_, shown) =>
                        Math.abs(shown.mediaTime - time) < 0.1 ? done() : film.requestVideoFrameCallback(look);
                    film.requestVideoFrameCallback(look);
                    film.currentTime = time;
                });
                const brush = canvas.getContext("2d");
                brush.drawImage(film, 0, 0, 96, 54);
                pictures.push(Array.from(brush.getImageData(0, 0, 96, 54).data).join());
            }
            return [film.videoWidth, film.videoHeight, film.duration, new Set(pictures).size];
        }"""
    )
    need(found[:2] == [WIDTH, HEIGHT] and abs(found[2] - FRAMES / RATE) < 0.1, f"the browser sees {found}")
    need(found[3] == 4, "pictures at 0.5, 3, 6 and 11.5 s are the same")
    return "it plays in Chromium"


def answer(run: Path) -> str:
    """The answer is the largest distance"""
    right = max(math.hypot(math.sin(a) + math.sin(b), 2 - math.cos(a) - math.cos(b)) for a, b in motion())
    given = float(text(run, "answer.txt").strip())
    need(abs(given - right) <= 0.0011, f"it is {given}, and should be {right:.3f}")
    return f"{given:.3f} m"


if __name__ == "__main__":
    sys.exit(main([angles, container, moves, answer]))
