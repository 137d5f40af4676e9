"""Which window of the page works on which radiograph: two at once would write over each other."""

import threading
import time

WINDOW_S = 12.0  # s after which a window that says nothing has left its radiograph


class Windows:
    """Which window works on which reading of a radiograph: one at a time."""

    def __init__(self):
        self.held: dict[str, tuple[tuple, float]] = {}  # of each window, which shows one radiograph: which, and when it said so
        self.lock = threading.Lock()

    def claim(self, what: tuple, window: str, take: bool = False) -> bool:
        """Whether the window has it now; `take` takes it from another one."""
        now = time.monotonic()
        with self.lock:
            others = [one for one, (its, said) in self.held.items() if its == what and one != window]
            if not take and any(now - self.held[one][1] < WINDOW_S for one in others):
                return False
            for one in others:
                del self.held[one]
            self.held[window] = (what, now)
            return True

    def leave(self, window: str) -> None:
        with self.lock:
            self.held.pop(window, None)
