"""Trained parameters as one flat float32 vector, and Adam on it.

Hundreds of small LoRA matrices cost an optimizer thousands of small operations a step; one vector costs a few
large ones. It is also what training processes hand to one another.
"""

import numpy as np

CHUNK = 32768  # values worked on at once, so that they stay in the processor's cache


class Flat:
    """The trainable parameters of a network in one vector, by name in sorted order. `size` is their number."""

    def __init__(self, network):
        self._network = network
        self.shapes = {name: x.shape for name, x in sorted(self.arrays(network.model.trainable_parameters()).items())}
        self.size = sum(int(np.prod(s)) for s in self.shapes.values())

    def arrays(self, tree) -> dict:
        """A tree of MLX arrays, such as gradients, by name."""
        from mlx.utils import tree_flatten

        return dict(tree_flatten(tree))

    def split(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """{name: its part of the vector, in its shape}: views, not copies."""
        found, at = {}, 0
        for name, shape in self.shapes.items():
            n = int(np.prod(shape))
            found[name] = vector[at:at + n].reshape(shape)
            at += n
        return found

    def write(self, arrays: dict, vector: np.ndarray) -> None:
        """Copy MLX arrays, by name, into the vector."""
        for name, part in self.split(vector).items():
            part[...] = np.array(arrays[name], copy=False)

    def read_network(self, vector: np.ndarray) -> None:
        """Copy the network's parameters into the vector."""
        self.write(self.arrays(self._network.model.trainable_parameters()), vector)

    def set_network(self, vector: np.ndarray) -> None:
        """Give the network the parameters in the vector."""
        import mlx.core as mx
        from mlx.utils import tree_unflatten

        self._network.model.update(tree_unflatten([(name, mx.array(part)) for name, part in self.split(vector).items()]))


class Adam:
    """Adam with bias correction (Kingma & Ba 2015), in place on one vector."""

    B1, B2, EPS = 0.9, 0.999, 1e-8

    def __init__(self, size: int):
        self.step, self.m, self.v = 0, np.zeros(size, np.float32), np.zeros(size, np.float32)
        self._a, self._b = np.empty(CHUNK, np.float32), np.empty(CHUNK, np.float32)

    def update(self, parameters: np.ndarray, gradient: np.ndarray, lr: float) -> None:
        """One step of `parameters` against `gradient`, both (size,) float32."""
        self.step += 1
        rate, unbias = np.float32(lr / (1 - self.B1 ** self.step)), np.float32((1 - self.B2 ** self.step) ** -0.5)
        for i in range(0, len(parameters), CHUNK):
            p, g, m, v = (x[i:i + CHUNK] for x in (parameters, gradient, self.m, self.v))
            a, b = self._a[:len(p)], self._b[:len(p)]
            m *= self.B1
            m += np.multiply(g, np.float32(1 - self.B1), out=a)
            v *= self.B2
            v += np.multiply(np.multiply(g, g, out=a), np.float32(1 - self.B2), out=a)
            np.add(np.multiply(np.sqrt(v, out=b), unbias, out=b), np.float32(self.EPS), out=b)
            p -= np.divide(np.multiply(m, rate, out=a), b, out=a)
