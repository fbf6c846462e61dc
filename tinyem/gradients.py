"""Loss and gradient of a batch, its rows shared out over processes.

On a CPU, MLX runs what is not matmul on one core, and two streams of one process wait for each other (2
streams gave 1.5 times the speed of one, 2 processes gave 2.0). So every further core gets a process of its
own with the same frozen model. Parameters and gradients go through shared memory; rows and losses as JSON lines.
Metal needs none of this: one process, one stream.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np

from . import blas
from .errors import TinyemError
from .packing import Row, pack, split

PACK = 400  # tokens in one packed sequence at most: attention takes memory and time with the square of it
MOST_PROCESSES = 4
WORTH_A_PROCESS = 2e12  # floating-point operations; below it starting a process costs more than it saves


class _Part:
    """Summed loss and gradients of some rows in this process, the gradients as one flat vector."""

    def __init__(self, network):
        import mlx.core as mx
        import mlx.nn as nn
        from mlx.utils import tree_flatten

        self._mx, self._flatten, self.network = mx, tree_flatten, network
        self._grad = nn.value_and_grad(network.model, network.loss)
        self._shapes = {k: v.shape for k, v in sorted(self.parameters().items())}
        self.size = sum(int(np.prod(s)) for s in self._shapes.values())

    def parameters(self) -> dict:
        return dict(self._flatten(self.network.model.trainable_parameters()))

    def __call__(self, rows):
        """(summed loss, {name: gradient}), a pack at a time."""
        total, sums = 0.0, {}
        for some in split(rows, PACK):
            loss, grads = self._grad(pack(some))
            sums = {k: g + sums[k] if sums else g for k, g in self._flatten(grads)}
            self._mx.eval(loss, sums)
            total += float(loss)
        return total, sums

    def read(self, flat) -> dict:
        """A flat vector as {name: array}."""
        found, at = {}, 0
        for name, shape in self._shapes.items():
            n = int(np.prod(shape))
            found[name] = self._mx.array(flat[at:at + n].reshape(shape))
            at += n
        return found

    def write(self, arrays: dict, flat) -> None:
        at = 0
        for name in self._shapes:
            value = np.array(arrays[name], copy=False).ravel()
            flat[at:at + value.size] = value
            at += value.size


class Gradients:
    """Call with Rows: (mean loss per answer token in nats, gradients of that mean).

    `work` is the number of floating-point operations to come, by which it decides whether helpers pay.
    Use as a context manager, so that the helper processes end with it.
    """

    def __init__(self, network, path, recipe, work: float = 0):
        import mlx.core as mx

        self._part = _Part(network)
        cores = os.cpu_count() or 1
        on_cpu = mx.default_device() == mx.Device(mx.cpu)
        self.processes = min(cores, MOST_PROCESSES) if on_cpu and work > WORTH_A_PROCESS else 1
        self._workers, self._file = [], None
        blas.set_threads(max(cores // self.processes, 1))
        if self.processes == 1:
            return
        if hasattr(os, "memfd_create"):
            self._file = os.fdopen(os.memfd_create("tinyem"), "r+b")
            name = f"/proc/{os.getpid()}/fd/{self._file.fileno()}"
        else:
            self._file = tempfile.NamedTemporaryFile()
            name = self._file.name
        self._file.truncate(4 * self._part.size * self.processes)  # parameters, then each worker's gradients
        self._shared = np.memmap(name, np.float32, "r+", shape=(self.processes, self._part.size))
        for k in range(1, self.processes):
            worker = subprocess.Popen([sys.executable, "-m", "tinyem.gradients"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      text=True, start_new_session=True)  # Ctrl-C is for the parent alone
            self._workers.append(worker)
            self._tell(worker, {"model": str(path), "rank": recipe.rank, "scale": recipe.alpha / recipe.rank, "targets": recipe.targets,
                                "layers": recipe.layers, "shared": name, "index": k, "processes": self.processes,
                                "threads": max(cores // self.processes, 1)})

    def _tell(self, worker, what):
        try:
            worker.stdin.write(json.dumps(what) + "\n")
            worker.stdin.flush()
        except OSError:
            raise TinyemError("a training process ended unexpectedly (out of memory?): close other programs, or use a smaller --batch")

    def _heard(self, worker):
        if not (line := worker.stdout.readline()):
            raise TinyemError("a training process ended unexpectedly (out of memory?): close other programs, or use a smaller --batch")
        return json.loads(line)

    def __call__(self, rows):
        from mlx.utils import tree_unflatten

        tokens = sum(len(r.answer) for r in rows)
        rows = sorted(rows, key=lambda r: (r.prefix, len(r)))  # rows that share a prefix land in one pack
        parts = _shares(rows, self.processes)
        if len(parts) > 1:
            self._part.write(self._part.parameters(), self._shared[0])
        busy = list(zip(self._workers, parts[1:]))
        for worker, part in busy:
            self._tell(worker, [[list(map(int, x)) for x in (r.prefix, r.prompt, r.answer)] for r in part])
        loss, grads = self._part(parts[0])
        if busy:
            loss += sum(self._heard(worker) for worker, _ in busy)
            others = self._part.read(self._shared[1:1 + len(busy)].sum(0))
            grads = {k: g + others[k] for k, g in grads.items()}
        return loss / tokens, tree_unflatten([(k, g / tokens) for k, g in grads.items()])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for worker in self._workers:
            worker.kill()
            worker.communicate()
        if self._file:
            del self._shared
            self._file.close()


def _shares(rows: list[Row], n: int) -> list[list[Row]]:
    """Up to n runs of consecutive rows with about the same number of packed tokens each (a shared prefix counts once)."""
    size = [len(r) - (len(r.prefix) if i and r.prefix == rows[i - 1].prefix else 0) for i, r in enumerate(rows)]
    total, shares, seen = sum(size), [[] for _ in range(n)], 0
    for row, tokens in zip(rows, size):
        shares[min(int((seen + tokens / 2) / total * n), n - 1)].append(row)
        seen += tokens
    return [s for s in shares if s]


def main():
    """A helper process: one JSON line with the set-up, then one line of rows a batch; answers each with its summed loss."""
    from .network import Network

    from mlx.utils import tree_unflatten

    setup = json.loads(sys.stdin.readline())
    blas.set_threads(setup["threads"])
    network = Network(setup["model"])
    network.add_lora(setup["rank"], setup["scale"], setup["targets"], setup["layers"] or range(network.n_layers), 0)
    part = _Part(network)
    shared = np.memmap(setup["shared"], np.float32, "r+", shape=(setup["processes"], part.size))
    for line in sys.stdin:
        network.model.update(tree_unflatten(list(part.read(shared[0]).items())))
        loss, grads = part([Row(*map(tuple, r)) for r in json.loads(line)])
        part.write(grads, shared[setup["index"]])
        print(json.dumps(loss), flush=True)


if __name__ == "__main__":
    main()
