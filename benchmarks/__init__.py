"""Figures of the harness itself, always beside a bare reference measured in the same run. `make bench` runs all."""
