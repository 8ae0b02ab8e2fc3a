"""How well a text of one colour is read on another."""

import re

from checking import need

NAMES = {"white": "#ffffff", "black": "#000000"}


def contrast_of(fill: str, strength: float, behind: str) -> float:
    """The contrast, as WCAG 2 defines it, of a colour of this opacity to the one behind it."""
    under = channels(behind)
    over = [strength * part + (1 - strength) * back for part, back in zip(channels(fill), under, strict=True)]
    light, dark = sorted((luminance(over), luminance(under)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def channels(colour: str) -> list[float]:
    """Red, green and blue of a plain colour."""
    code = NAMES.get(colour.lower(), colour.lower())
    if re.fullmatch("#[0-9a-f]{3}", code):
        code = "#" + "".join(2 * digit for digit in code[1:])
    need(
        re.fullmatch("#[0-9a-f]{6}", code),
        f"the colour {colour!r} is not plain: #rrggbb is wanted for texts and behind them",
    )
    return [int(code[at : at + 2], 16) / 255 for at in (1, 3, 5)]


def luminance(parts: list[float]) -> float:
    """Relative luminance as WCAG 2 defines it."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
