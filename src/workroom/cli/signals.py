"""What Ctrl-C and its like do while a verb works."""

import signal
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """SIGINT, SIGTERM and SIGHUP: before and after the episode as Ctrl-C, during it as a request to stop."""

    def __init__(self) -> None:
        self.stop: Callable[[], object] | None = None
        self._held = 0

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        if self.stop is None:
            raise KeyboardInterrupt
        self.stop()

    def take(self) -> None:
        for number in _NUMBERS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                signal.signal(number, self._take)

    def hold(self) -> None:
        """While an event loop starts, which no exception may interrupt: what comes waits for `hand_over`."""
        self._held = 0
        self.stop = self._hold

    def hand_over(self, stop: "Callable[[], object]") -> None:
        """From now on signals call `stop`, and those that wait do so at once."""
        self.stop = stop
        for _ in range(self._held):
            stop()

    def _hold(self) -> None:
        self._held += 1

    def ignore(self) -> None:
        """For the end of the process: what comes while it ends must not change its exit code."""
        for number in _NUMBERS:
            signal.signal(number, signal.SIG_IGN)
