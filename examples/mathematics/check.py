"""Says whether a run solved `task.md`: the colouring and every line of the refutation are checked.

python examples/mathematics/check.py RUN_DIR
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from checking import Wrong, main, need, text

RED, BLUE = 3, 7  # the lengths of the progressions to avoid


def progressions(n: int, length: int) -> list[list[int]]:
    """All progressions of the length within 1 to n."""
    steps = range(1, (n - 1) // (length - 1) + 1)
    return [[a + i * d for i in range(length)] for d in steps for a in range(1, n + 1 - (length - 1) * d)]


class Refutation:
    """Clauses over the variables 1 to n, of which each added one must follow by unit propagation.

    A clause is watched at two of its literals that are not false; units that hold anyway are kept as assigned.
    """

    def __init__(self, n: int) -> None:
        self.value = [0] * (2 * n + 1)  # of a literal: 1 true, -1 false; a negative literal counts from the end
        self.watched: dict[int, list[list[int]]] = {sign * i: [] for i in range(1, n + 1) for sign in (1, -1)}
        self.done = False

    def assign(self, literals: list[int]) -> tuple[bool, list[int]]:
        """Makes the literals true and all that follows from that; whether they contradict, and what was assigned."""
        value = self.value
        trail: list[int] = []
        for literal in literals:
            if value[literal] < 0:
                return True, trail
            if not value[literal]:
                value[literal], value[-literal] = 1, -1
                trail.append(literal)
        at = 0
        while at < len(trail):
            false = -trail[at]
            at += 1
            kept: list[list[int]] = []
            waiting = self.watched[false]
            for number, clause in enumerate(waiting):
                if clause[0] == false:
                    clause[0], clause[1] = clause[1], clause[0]
                if value[clause[0]] > 0:
                    kept.append(clause)
                    continue
                for place in range(2, len(clause)):
                    if value[clause[place]] >= 0:
                        clause[1], clause[place] = clause[place], clause[1]
                        self.watched[clause[1]].append(clause)
                        break
                else:
                    kept.append(clause)
                    if value[clause[0]] < 0:
                        self.watched[false] = kept + waiting[number + 1 :]
                        return True, trail
                    value[clause[0]], value[-clause[0]] = 1, -1
                    trail.append(clause[0])
            self.watched[false] = kept
        return False, trail

    def add(self, clause: list[int]) -> None:
        """Takes a clause as given."""
        clause = sorted(set(clause), key=lambda literal: self.value[literal] < 0)  # what is not false comes first
        if any(self.value[literal] > 0 for literal in clause):
            return
        free = [literal for literal in clause if self.value[literal] == 0]
        if len(free) >= 2:
            self.watched[clause[0]].append(clause)
            self.watched[clause[1]].append(clause)
        elif free:
            self.done = self.assign(free)[0] or self.done
        else:
            self.done = True

    def follows(self, clause: list[int]) -> bool:
        """Whether the clause follows by unit propagation: its negation leads to a contradiction."""
        contradiction, trail = self.assign([-literal for literal in clause])
        for literal in trail:
            self.value[literal] = self.value[-literal] = 0
        return contradiction


def answered(run: Path) -> int:
    """The number in the answer."""
    answer = text(run, "answer.txt").strip()
    need(
        answer.isascii() and answer.isdigit() and len(answer) <= 3,
        f"{answer[:40]!r} is no number of one to three digits",
    )
    need(int(answer) >= BLUE, f"{answer} is too small: all red or all blue, without so long a progression, avoids both")
    return int(answer)


def witness(run: Path) -> str:
    """A colouring of 1 to n - 1 without such progressions"""
    n = answered(run)
    colours = text(run, "files/witness.txt").strip()
    need(set(colours) <= set("RB"), "witness.txt has other letters than R and B")
    need(len(colours) == n - 1, f"witness.txt has {len(colours)} letters; the answer {n} needs {n - 1}")
    for colour, length in (("R", RED), ("B", BLUE)):
        for progression in progressions(n - 1, length):
            need(
                any(colours[i - 1] != colour for i in progression),
                f"the numbers {', '.join(map(str, progression))} all are {colour}",
            )
    return f"{n - 1} numbers, {colours.count('R')} red"


def refutation(run: Path) -> str:
    """A proof that 1 to n cannot be coloured so"""
    n = answered(run)
    proof = Refutation(n)
    for progression in progressions(n, RED):
        proof.add([-i for i in progression])
    for progression in progressions(n, BLUE):
        proof.add(progression)
    steps = 0
    for number, line in enumerate(text(run, "files/proof.drup").splitlines(), 1):
        words = line.split()
        if not words or words[0] == "d":
            continue
        clause = [int(word) for word in words]
        need(clause.pop() == 0, f"line {number} does not end with 0")
        need(all(0 < abs(literal) <= n for literal in clause), f"line {number} has a literal that is none of 1 to {n}")
        need(proof.done or proof.follows(clause), f"line {number} does not follow from the clauses before it")
        steps += 1
        if not clause:
            return f"{steps} steps, each of which follows"
        proof.add(clause)
    raise Wrong("the empty clause is missing at the end")


def number(run: Path) -> str:
    """The answer is a number"""
    return str(answered(run))


if __name__ == "__main__":
    sys.exit(main([number, witness, refutation]))
