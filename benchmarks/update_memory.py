"""What an update takes of memory: bytes that a forward pass keeps for the backward pass, by rows and tokens.

    python -m benchmarks.update_memory [CONFIG.toml] [--rows N] [--tokens N]

Prints gigabytes, and bytes for each number of a token's hidden states over all layers, which `BYTES_AN_ACTIVATION` is
taken from. Half of each row's tokens count as sampled. On the processor, in float32.
"""

import argparse
from pathlib import Path

from workroom.train.batch import make_batch
from workroom.train.config_file import load as load_config
from workroom.train.hf_model import load
from workroom.train.records import Rollout, TrainRow
from workroom.train.scoring import score


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def main() -> None:
    """Measures one size."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("config", nargs="?", type=Path, default=Path("configs/cpu.toml"))
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=512)
    asked = parser.parse_args()
    model, _ = load(load_config(asked.config).model, tell=print)
    half = asked.tokens // 2
    rollouts = []
    for number in range(asked.rows):  # rows that begin alike would be computed once
        ids = tuple(range(100 + number, 100 + number + half))
        row = TrainRow(ids, ids, (1,) * half, (0.0,) * half)
        rollouts.append(Rollout(str(number), 1, (row,), 1.0, "submitted"))
    before = resident()
    scored = score(model, make_batch(rollouts, 0))
    kept = resident() - before
    numbers = asked.rows * 2 * half * model.config.num_hidden_layers * model.config.hidden_size
    shape = f"{asked.rows} rows of {2 * half} tokens, {len(scored.logprobs)} sampled"
    print(f"{shape}: {kept / 1e9:.2f} GB, {kept / numbers:.0f} bytes a number")


if __name__ == "__main__":
    main()
