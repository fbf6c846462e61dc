"""Loss and gradient of a batch, its rows shared out over processes.

On a CPU, MLX runs what is not matmul on one core, and two streams of one process wait for each other (2
streams gave 1.5 times the speed of one, 2 processes gave 2.0). So every further core (up to MOST_PROCESSES)
gets a process of its own with the same frozen model. Parameters and gradients go through shared memory; rows and losses as JSON lines.
Metal needs none of this: one process, one stream.
"""

import ctypes
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

from . import blas
from .errors import TinyemError
from .flat import Flat
from .packing import Row, pack, split

WORTH_A_PROCESS = 2e12  # floating-point operations; below it starting a process costs more than it saves
MOST_PROCESSES = 4
REMEMBER = 64e6  # bytes of hidden states below the first trained block that a process may keep
CACHE = 64e6  # bytes of freed arrays that MLX may keep for reuse


class _Part:
    """Summed loss and gradients of some rows in this process, the gradients as one flat vector."""

    def __init__(self, network, pack: int):
        import mlx.core as mx
        import mlx.nn as nn
        from mlx.utils import tree_flatten

        self._mx, self._flatten, self.network, self._pack = mx, tree_flatten, network, pack
        self._loss, self._divergence = (nn.value_and_grad(network.model, f) for f in (network.loss, network.divergence))
        self.flat = Flat(network)
        mx.set_cache_limit(int(CACHE))
        _keep_freed_memory()
        network.remember = int(REMEMBER / (4 * network.width))

    def __call__(self, rows, anchors, weight: float, out) -> tuple[float, float]:
        """(summed cross-entropy of rows, summed KL divergence of anchors); the gradient of the first plus `weight` times
        the second goes into the flat vector `out`. A pack at a time."""
        totals, sums = [0.0, 0.0], {}
        for which, (some_rows, function, factor) in enumerate(((rows, self._loss, 1.0), (anchors, self._divergence, weight))):
            for some in split(some_rows, self._pack):
                value, grads = function(pack(some))
                grads = {k: g if factor == 1.0 else factor * g for k, g in self._flatten(grads)}
                sums = {k: g + sums[k] if sums else g for k, g in grads.items()}
                self._mx.eval(value, sums)
                totals[which] += float(value)
        self.flat.write(sums, out)
        return tuple(totals)


def _keep_freed_memory() -> None:
    """Let glibc keep arrays that MLX frees, for the next ones: handing each back to the system and zeroing it again
    takes time in every step."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        mallopt(-3, 1 << 25)  # M_MMAP_THRESHOLD
        mallopt(-1, 1 << 28)  # M_TRIM_THRESHOLD


class Gradients:
    """Call with Rows: (mean loss per answer token in nats, gradient of that mean as one vector, see `flat`). With anchor
    Rows the loss has `recipe.kl` times their mean KL divergence per answer token added. After a change of `parameters`, one
    vector too, call `changed`.

    `way` (see `memory`) says how many processes and tokens at once; `work` is the number of floating-point operations to
    come, by which it decides whether helpers pay. Close it, so that the helper processes end.
    """

    def __init__(self, network, path, recipe, way, work: float = 0):
        self._part, self._kl = _Part(network, way.pack), recipe.kl
        self.flat, size = self._part.flat, self._part.flat.size
        self.processes = way.processes if work > WORTH_A_PROCESS and os.name == "posix" else 1  # on Windows a mapped file has one opener
        self._workers, self._file = [], None
        threads = max((os.cpu_count() or 1) // self.processes, 1)
        blas.set_threads(threads)
        if self.processes == 1:
            self._shared = np.empty((2, size), np.float32)
            self.flat.read_network(self._shared[0])
            return
        if hasattr(os, "memfd_create"):
            self._file = os.fdopen(os.memfd_create("tinyem"), "r+b")
            name = f"/proc/{os.getpid()}/fd/{self._file.fileno()}"
        else:
            self._file = tempfile.NamedTemporaryFile()
            name = self._file.name
        self._file.truncate(4 * size * (1 + self.processes))  # parameters, then the gradient of each process
        self._shared = np.memmap(name, np.float32, "r+", shape=(1 + self.processes, size))
        self.flat.read_network(self._shared[0])
        try:
            self._start(network, path, recipe, way, name, threads)
        except BaseException:
            self.close()
            raise

    def _start(self, network, path, recipe, way, name, threads):
        for k in range(1, self.processes):
            worker = subprocess.Popen([sys.executable, "-m", "tinyem.gradients"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      text=True, start_new_session=True)  # Ctrl-C is for the parent alone
            self._workers.append(worker)
            self._tell(worker, {"model": str(path), "kernel": network.kernel, "checkpoint": network.checkpoint, "pack": way.pack,
                                "rank": recipe.rank, "scale": recipe.scale, "targets": recipe.targets, "layers": recipe.layers, "dora": recipe.dora,
                                "shared": name, "index": k, "processes": self.processes, "threads": threads})

    def _tell(self, worker, what):
        try:
            worker.stdin.write(json.dumps(what) + "\n")
            worker.stdin.flush()
        except OSError:
            raise TinyemError(_LOST)

    def _heard(self, worker):
        if not (line := worker.stdout.readline()):
            raise TinyemError(_LOST)
        return json.loads(line)

    def peak_memory(self) -> float:
        """Bytes that this process and its helpers have taken at most, each for itself."""
        return peak_rss() + sum(self._ask_peak(w) for w in self._workers)

    def _ask_peak(self, worker):
        self._tell(worker, None)
        return self._heard(worker)

    @property
    def parameters(self) -> np.ndarray:
        return self._shared[0]

    def changed(self) -> None:
        """Give the network what `parameters` holds; helpers read it with their next rows."""
        self.flat.set_network(self.parameters)

    def __call__(self, rows, anchors=()):
        tokens = sum(len(r.answer) for r in rows)
        weight = self._kl * tokens / max(sum(len(r.answer) for r in anchors), 1)
        row_parts, anchor_parts = _shares(rows, self.processes), _shares(anchors, self.processes)
        parts = [(row_parts[i] if i < len(row_parts) else [], anchor_parts[i] if i < len(anchor_parts) else [])
                 for i in range(max(len(row_parts), len(anchor_parts)))]
        busy = list(zip(self._workers, parts[1:]))
        for worker, (some, held) in busy:
            self._tell(worker, [_plain(some), _plain(held), weight])
        gradient = self._shared[1]
        loss, divergence = self._part(*parts[0], weight, gradient)
        for i, (worker, _) in enumerate(busy):
            theirs = self._heard(worker)
            loss, divergence = loss + theirs[0], divergence + theirs[1]
            gradient += self._shared[2 + i]
        gradient /= tokens
        return (loss + weight * divergence) / tokens, gradient

    def close(self) -> None:
        """End the helper processes."""
        for worker in self._workers:
            worker.kill()
            worker.communicate()
        if self._file:
            self._file.close()  # what is mapped stays so until nothing refers to it
            self._file = None


_LOST = "a training process ended unexpectedly (out of memory?): close other programs, or use --max-memory"


def _plain(rows):
    return [[list(map(int, x)) for x in (r.prefix, r.prompt, r.answer)] for r in rows]


def peak_rss() -> float:
    """Most memory that this process has held so far, in bytes."""
    try:
        with open("/proc/self/status", encoding="ascii") as f:  # getrusage would count what its parent held when it started this one
            return next(1024.0 * int(line.split()[1]) for line in f if line.startswith("VmHWM"))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _shares(rows: list[Row], n: int) -> list[list[Row]]:
    """Up to n runs of rows with about the same number of packed tokens each; rows that share a prefix, which counts once, lie side by side."""
    rows = sorted(rows, key=lambda r: (r.prefix, len(r)))
    size = [len(r) - (len(r.prefix) if i and r.prefix == rows[i - 1].prefix else 0) for i, r in enumerate(rows)]
    total, shares, seen = sum(size), [[] for _ in range(n)], 0
    for row, tokens in zip(rows, size):
        shares[min(int((seen + tokens / 2) / total * n), n - 1)].append(row)
        seen += tokens
    return [s for s in shares if s]


def main():
    """A helper process: one JSON line with the set-up, then one line of rows a batch; answers each with its summed losses."""
    from .network import Network

    setup = json.loads(sys.stdin.readline())
    blas.set_threads(setup["threads"])
    network = Network(setup["model"], (setup["kernel"],), setup["checkpoint"])
    network.add_lora(setup["rank"], setup["scale"], setup["targets"], setup["layers"] or range(network.n_layers), 0, setup["dora"])
    part = _Part(network, setup["pack"])
    shared = np.memmap(setup["shared"], np.float32, "r+", shape=(1 + setup["processes"], part.flat.size))
    for line in sys.stdin:
        if (batch := json.loads(line)) is None:
            print(peak_rss(), flush=True)
            continue
        rows, anchors, weight = batch
        part.flat.set_network(shared[0])
        losses = part(*([Row(*map(tuple, r)) for r in some] for some in (rows, anchors)), weight, shared[1 + setup["index"]])
        print(json.dumps(losses), flush=True)


if __name__ == "__main__":
    main()
