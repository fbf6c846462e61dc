"""One progress line: redrawn on a terminal, printed now and then elsewhere."""

import sys
import time


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Progress:
    """`update(done, note)` prints 'label  done/total  note  time left'. Use it as a context manager."""

    def __init__(self, label: str, total: int, done: int = 0, stream=None):
        self.label, self.total, self.first = label, max(total, 1), done
        self.stream = stream or sys.stderr
        self.tty = self.stream.isatty()
        self.start = time.monotonic()
        self.shown, self.line_open = 0.0, False

    def update(self, done: int, note: str = "") -> None:
        now = time.monotonic()
        if done < self.total and now - self.shown < (0.2 if self.tty else 15):
            return
        self.shown = now
        spent, new = now - self.start, done - self.first
        left = clock(spent) if done >= self.total else f"{clock(spent / new * (self.total - done))} left" if new else ""  # of nothing done there is no estimate
        text = "  ".join(filter(None, (self.label, f"{done}/{self.total}", note, left)))
        if self.tty:
            self.stream.write("\r\x1b[K" + text[:150])
            self.line_open = True
        else:
            self.stream.write(text + "\n")
        self.stream.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.line_open:
            self.stream.write("\n")
            self.stream.flush()
