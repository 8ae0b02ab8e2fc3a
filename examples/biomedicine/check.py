"""Says whether a run solved `task.md`: the whole analysis is done again here.

python examples/biomedicine/check.py RUN_DIR
"""

import csv
import json
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from checking import data, main, need, png, text

CUTOFF = date(2024, 6, 30)
MONTH = 30.4375
ARMS = ("new", "standard")


@dataclass(frozen=True)
class Patient:
    """Who is analysed: days until death (`died`) or censoring, and the covariates as 0 or 1."""

    arm: str
    days: int
    died: bool
    covariates: tuple[int, int]  # the new drug, stage III


def day(words: str) -> date:
    """A date in either form of the records."""
    return date.fromisoformat("-".join(reversed(words.split("."))) if "." in words else words)


@cache
def patients() -> tuple[Patient, ...]:
    """The patients that are to be analysed, as the protocol says."""
    last: dict[str, dict[str, str]] = {}
    with (Path(__file__).parent / "documents/patients.csv").open(encoding="utf-8") as file:
        for record in sorted(csv.DictReader(file), key=lambda record: record["entered"]):
            last[record["patient"]] = record
    chosen = []
    for record in last.values():
        if record["eligible"] == "yes":
            end = day(record["died"] or record["last_contact"])
            days = (min(end, CUTOFF) - day(record["randomised"])).days
            covariates = (int(record["arm"] == "new"), int(record["stage"] == "III"))
            chosen.append(Patient(record["arm"], days, bool(record["died"]) and end <= CUTOFF, covariates))
    return tuple(chosen)


def curve(arm: str) -> list[tuple[int, float]]:
    """The Kaplan-Meier curve: the days of deaths, and the share that lives on after each."""
    own = [patient for patient in patients() if patient.arm == arm]
    share, steps = 1.0, []
    for days in sorted({patient.days for patient in own if patient.died}):
        at_risk = sum(patient.days >= days for patient in own)
        share *= 1 - sum(patient.died and patient.days == days for patient in own) / at_risk
        steps.append((days, share))
    return steps


def log_rank() -> float:
    """Chi-square of the log-rank test, one degree of freedom."""
    difference = variance = 0.0
    for days in {patient.days for patient in patients() if patient.died}:
        at_risk = [patient for patient in patients() if patient.days >= days]
        dying = [patient for patient in at_risk if patient.died and patient.days == days]
        n, d, share = len(at_risk), len(dying), sum(patient.arm == "new" for patient in at_risk) / len(at_risk)
        difference += sum(patient.arm == "new" for patient in dying) - d * share
        variance += d * share * (1 - share) * (n - d) / (n - 1) if n > 1 else 0
    return difference**2 / variance


def cox() -> tuple[float, float]:
    """Coefficient of the new drug and its standard error in Cox's model with stage; Efron's ties, Newton's method."""
    beta = [0.0, 0.0]
    for _ in range(12):
        slope, information = [0.0, 0.0], [[0.0, 0.0], [0.0, 0.0]]
        for days in {patient.days for patient in patients() if patient.died}:
            at_risk = [patient.covariates for patient in patients() if patient.days >= days]
            dying = [patient.covariates for patient in patients() if patient.died and patient.days == days]
            for tie in range(len(dying)):
                weights = [(z, _weight(beta, z)) for z in at_risk]
                weights += [(z, -_weight(beta, z) * tie / len(dying)) for z in dying]
                total = sum(weight for _, weight in weights)
                mean = [sum(weight * z[i] for z, weight in weights) / total for i in (0, 1)]
                for i in (0, 1):
                    slope[i] += dying[tie][i] - mean[i]
                    for j in (0, 1):
                        information[i][j] += sum(w * z[i] * z[j] for z, w in weights) / total - mean[i] * mean[j]
        (a, b), (c, d) = information
        determinant = a * d - b * c
        beta = [
            beta[0] + (d * slope[0] - b * slope[1]) / determinant,
            beta[1] + (a * slope[1] - c * slope[0]) / determinant,
        ]
    return beta[0], math.sqrt(d / determinant)


def _weight(beta: Sequence[float], covariates: Sequence[int]) -> float:
    return math.exp(sum(b * z for b, z in zip(beta, covariates, strict=True)))


@cache
def right() -> dict[str, float]:
    """Every number of `results.json`, as it should be."""
    numbers: dict[str, float] = {}
    for arm in ARMS:
        own = [patient for patient in patients() if patient.arm == arm]
        steps = curve(arm)
        numbers[f"analysed_{arm}"] = len(own)
        numbers[f"deaths_{arm}"] = sum(patient.died for patient in own)
        numbers[f"median_months_{arm}"] = next(days for days, share in steps if share <= 0.5) / MONTH
        numbers[f"survival_24_months_{arm}"] = [share for days, share in steps if days <= 24 * MONTH][-1]
    chi2, (coefficient, error) = log_rank(), cox()
    z = 1.959963984540054
    ratios = [math.exp(coefficient + k * error) for k in (0, -z, z)]
    numbers |= {"logrank_chi2": chi2, "logrank_p": math.erfc(math.sqrt(chi2 / 2))}
    return numbers | dict(zip(("hazard_ratio", "hazard_ratio_low", "hazard_ratio_high"), ratios, strict=True))


def results(run: Path, names: Sequence[str]) -> str:
    """Raises Wrong where a number of `results.json` is off by more than a ten-thousandth of itself."""
    given = json.loads(text(run, "files/results.json"))
    need(isinstance(given, dict), "results.json is no object")
    for name in names:
        value = given.get(name)
        need(isinstance(value, (int, float)) and not isinstance(value, bool), f"results.json has no number {name}")
        need(
            math.isclose(value, right()[name], rel_tol=1e-4),
            f"{name} is {value:.6g}, and should be {right()[name]:.6g}",
        )
    return ", ".join(f"{right()[name]:.4g}" for name in names)


def population(run: Path) -> str:
    """Who is analysed, and who died before the cut-off"""
    return results(run, [f"{what}_{arm}" for what in ("analysed", "deaths") for arm in ARMS])


def description(run: Path) -> str:
    """Medians and survival at 24 months"""
    return results(run, [f"{what}_{arm}" for what in ("median_months", "survival_24_months") for arm in ARMS])


def test(run: Path) -> str:
    """Log-rank test"""
    return results(run, ["logrank_chi2", "logrank_p"])


def effect(run: Path) -> str:
    """Hazard ratio and its interval"""
    return results(run, ["hazard_ratio", "hazard_ratio_low", "hazard_ratio_high"])


def plot(run: Path) -> str:
    """A picture of the curves"""
    width, height, different = png(data(run, "files/survival.png"))
    need(width >= 800 and height >= 600, f"survival.png is {width} x {height}")
    need(different >= 100, f"only {different} of the {height} rows of survival.png differ: there is hardly a curve")
    return f"{width} x {height}"


def answer(run: Path) -> str:
    """The answer for a physician has the five numbers"""
    words = text(run, "answer.txt")
    medians = [f"{right()[f'median_months_{arm}']:.1f}" for arm in ARMS]
    ratios = [f"{right()[name]:.2f}" for name in ("hazard_ratio", "hazard_ratio_low", "hazard_ratio_high")]
    numbers = re.findall(r"\d+\.\d+", words)
    missing = [number for number in (*medians, *ratios) if number not in numbers]
    need(not missing, f"answer.txt does not say {', '.join(missing)}")
    need("month" in words.lower(), "answer.txt does not say that the medians are in months")
    # However it is put, whoever reads on from the hazard ratio meets it first, then its interval.
    order = [number for number in numbers if number in ratios]
    need(order[:3] == ratios, f"answer.txt has {', '.join(order[:3])} for the hazard ratio and its interval")
    return ", ".join((*medians, *ratios))


if __name__ == "__main__":
    sys.exit(main([population, description, test, effect, plot, answer]))
