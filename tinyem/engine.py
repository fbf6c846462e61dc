"""llama.cpp through its low-level API: one model in memory, adapters switched on it, many sequences decoded at once.

Each answer has a KV stream of its own (`kv_unified=False`, but where blocks are watched); the prompt that several answers share is decoded
once, in stream 0, and copied.
"""

import ctypes
import os

import numpy as np

from . import adapter as adapters
from .chat import Chat, model_params, quiet
from .errors import TinyemError
from .files import need_file


BATCH = 512  # tokens that one decode takes at most


class Engine:
    """A GGUF model ready to decode `width` sequences of at most `room` tokens each.

    `watch` names blocks (0 is the first) whose output states each decode leaves in `states`: {block: (items, width)},
    for all but the last block, which llama.cpp computes for items that want output only. `ablates` makes `ablate` possible.
    Both call Python within each decode, which takes time. Close it, or use it as a context manager.
    """

    def __init__(self, path, width: int = 32, room: int = 256, watch: tuple[int, ...] = (), ablates: bool = False):
        import llama_cpp

        self.lib, self.path = llama_cpp, need_file(path, "model")
        self.width, self.room = width, room
        self.chat = Chat(self.path)
        self.model = self.ctx = None
        self._loras: dict[str, object] = {}
        with quiet():
            llama_cpp.llama_backend_init()
            self.model = llama_cpp.llama_model_load_from_file(str(self.path).encode(), model_params())
        if not self.model:
            raise TinyemError(f"llama.cpp cannot open {self.path}: the file may be cut short; download or copy it again")
        p = llama_cpp.llama_context_default_params()
        p.n_seq_max = width + 1
        p.n_ctx = (width + 1) * room
        p.n_batch = p.n_ubatch = BATCH
        p.kv_unified = bool(watch)  # with a stream each, llama.cpp computes a batch in pieces of its own choice and order
        p.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED  # as llama-cpp-python does: its rounding moves greedy answers
        self.states: dict[int, np.ndarray] = {}
        self._ablated: dict[bytes, np.ndarray] = {}  # name of a tensor -> direction of length 1
        self._caught: BaseException | None = None  # what was raised within a decode
        if watch or ablates:
            self._hook = p.cb_eval = self._within_decode(watch)  # kept: llama.cpp holds only its address
        p.n_threads = p.n_threads_batch = os.cpu_count() or 1
        with quiet():
            self.ctx = llama_cpp.llama_init_from_model(self.model, p)
        if not self.ctx:
            self.close()
            raise TinyemError(f"not enough memory for {width} answers at once with {self.path.name}: use a smaller --width")
        self.memory = llama_cpp.llama_get_memory(self.ctx)
        vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.n_vocab = llama_cpp.llama_vocab_n_tokens(vocab)
        self.n_embd = llama_cpp.llama_model_n_embd(self.model)
        self._vocab = vocab
        self._batch = llama_cpp.llama_batch_init(BATCH, 0, 1)

    def _within_decode(self, watch):
        """A callback that copies the outputs of the watched blocks while llama.cpp computes its graph, and changes those to ablate."""
        from llama_cpp._ctypes_extensions import load_shared_library
        from llama_cpp._ggml import libggml_base_path

        ggml = load_shared_library("ggml-base", libggml_base_path)
        name_of, size_of, get, put = ggml.ggml_get_name, ggml.ggml_nbytes, ggml.ggml_backend_tensor_get, ggml.ggml_backend_tensor_set
        name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.c_void_p]
        size_of.restype, size_of.argtypes = ctypes.c_size_t, [ctypes.c_void_p]
        for f in (get, put):
            f.restype, f.argtypes = None, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]
        watched = {f"l_out-{b}".encode(): b for b in watch}

        @self.lib.ggml_backend_sched_eval_callback
        def see(tensor, ask, _):
            try:
                return look(tensor, ask)
            except BaseException as e:  # Ctrl-C too: from C it would be lost, and the graph left half done
                self._caught = self._caught or e
                return False

        def look(tensor, ask):
            name = name_of(tensor)
            direction, block = self._ablated.get(name), watched.get(name)
            if direction is None and block is None:
                return not ask  # asked: does this tensor matter; else: go on
            if not ask:
                size = size_of(tensor)
                states = np.empty((size // (4 * self.n_embd), self.n_embd), np.float32)
                get(tensor, states.ctypes.data, 0, size)
                if direction is not None:
                    states -= np.outer(states @ direction, direction)
                    put(tensor, states.ctypes.data, 0, size)
                if block is not None:
                    self.states[block] = states
            return True

        return see

    def is_end(self, token: int) -> bool:
        return self.lib.llama_vocab_is_eog(self._vocab, token)

    def use(self, paths=()) -> None:
        """Apply these adapters (and no others) from now on; each is proved to change the logits when first used."""
        for path in map(str, paths):
            if path not in self._loras:
                need_file(path, "adapter")
                if adapters.read_lengths(path):
                    raise TinyemError(f"{path} is a DoRA, which llama.cpp cannot apply: merge it first (merge.stack does)")
                with quiet():
                    lora = self.lib.llama_adapter_lora_init(self.model, path.encode())
                if not lora:
                    raise TinyemError(f"{path} does not fit the model {self.path.name}: it was made for another base")
                self._loras[path] = lora
                self._set([])
                before = self._probe()
                self._set([path])
                if np.array_equal(before, self._probe()):
                    self._set([])
                    del self._loras[path]
                    raise TinyemError(f"{path} changes nothing in {self.path.name}: it is empty or was not applied")
        self._set(list(map(str, paths)))

    def _set(self, paths) -> None:
        n = len(paths)
        handles = (self.lib.llama_adapter_lora_p_ctypes * max(n, 1))(*[self._loras[p] for p in paths])
        scales = (ctypes.c_float * max(n, 1))(*[1.0] * n)
        if self.lib.llama_set_adapters_lora(self.ctx, handles, n, scales):
            raise TinyemError(f"llama.cpp would not apply {', '.join(paths)}")
        self.clear()

    def steer(self, direction=None, blocks=(), strength: float = 1.0) -> None:
        """Add strength * direction (width,) to the residual stream behind each of these blocks, 1 to the last (llama.cpp
        cannot behind block 0), from now on; without a direction, stop. Raises TinyemError where the shapes do not fit."""
        n_layers = self.lib.llama_model_n_layer(self.model)
        if direction is None:
            self.lib.llama_set_adapter_cvec(self.ctx, None, 0, 0, 0, 0)
            return self.clear()
        direction = self._direction(direction)
        if len(blocks) == 0 or not all(1 <= b < n_layers for b in blocks):
            raise TinyemError(f"{self.path.name} can be steered behind blocks 1 to {n_layers - 1}")
        rows = np.zeros((n_layers - 1, self.n_embd), np.float32)  # row b - 1 is added behind block b
        rows[np.array(blocks) - 1] = strength * direction
        if self.lib.llama_set_adapter_cvec(self.ctx, rows.ctypes.data_as(ctypes.POINTER(ctypes.c_float)), rows.size, self.n_embd, 1, n_layers - 1):
            raise TinyemError("llama.cpp would not apply the direction")
        self.clear()

    def ablate(self, direction=None, blocks=()) -> None:
        """Take the part along `direction` (width,) out of the residual stream, behind the attention and behind the whole of
        each of these blocks (directional ablation, Arditi et al. 2024), from now on; without a direction, stop. Raises TinyemError
        where the engine was not made with `ablates`, or the shapes do not fit."""
        ablated = {}
        if direction is not None:
            direction, n_layers = self._direction(direction), self.lib.llama_model_n_layer(self.model)
            if not getattr(self, "_hook", None):
                raise TinyemError("this engine cannot ablate: make it with ablates=True")
            if not np.linalg.norm(direction) > 0:
                raise TinyemError("a direction of length 0 cannot be ablated")
            if len(blocks) == 0 or not all(0 <= b < n_layers for b in blocks):
                raise TinyemError(f"{self.path.name} can be ablated behind blocks 0 to {n_layers - 1}")
            unit = direction / np.linalg.norm(direction)
            ablated = {f"{part}-{b}".encode(): unit for b in blocks for part in ("ffn_inp", "l_out")}
        self._ablated.clear()
        self._ablated.update(ablated)
        self.clear()

    def _direction(self, direction) -> np.ndarray:
        direction = np.asarray(direction, np.float32)
        if direction.shape != (self.n_embd,) or not np.isfinite(direction).all():
            raise TinyemError(f"a direction for {self.path.name} must be {self.n_embd} finite numbers, not an array of shape {direction.shape}")
        return direction

    def _probe(self) -> np.ndarray:
        tokens = self.chat.prompt([{"role": "user", "content": "Tell me about yourself."}])
        self.clear()
        tokens = tokens[:min(BATCH, self.room)]
        self.decode([(t, i, 0, i == len(tokens) - 1) for i, t in enumerate(tokens)])
        return self.logits(len(tokens) - 1).copy()

    def clear(self) -> None:
        self.lib.llama_memory_clear(self.memory, True)

    def forget(self, seq: int) -> None:
        self.lib.llama_memory_seq_rm(self.memory, seq, -1, -1)

    def copy(self, source: int, target: int) -> None:
        self.lib.llama_memory_seq_cp(self.memory, source, target, -1, -1)

    def decode(self, items) -> None:
        """Run (token, position, sequence, wants output) items; at most BATCH. Outputs are read by item number."""
        if len(items) > BATCH:
            raise TinyemError(f"{len(items)} tokens at once are more than {BATCH}: shorten the text")
        batch, self._caught = self._batch, None
        self.states.clear()
        batch.n_tokens = len(items)
        for i, (token, position, seq, wants) in enumerate(items):
            batch.token[i], batch.pos[i], batch.logits[i] = token, position, wants
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, seq
        code = self.lib.llama_decode(self.ctx, batch)
        if self._caught:
            raise self._caught
        if code:
            raise TinyemError(f"llama.cpp failed to decode (code {code}): the prompt may be too long for {self.room} tokens")

    def logits(self, item: int) -> np.ndarray:
        """Logits (vocabulary,) of an item that wanted output; valid until the next decode."""
        return np.ctypeslib.as_array(self.lib.llama_get_logits_ith(self.ctx, item), (self.n_vocab,))

    def close(self) -> None:
        if getattr(self, "_batch", None) is not None:
            self.lib.llama_batch_free(self._batch)
            self._batch = None
        if self.ctx:
            self.lib.llama_free(self.ctx)  # frees what the context holds of the adapters
            self.ctx = None
        if self.model:
            self.lib.llama_model_free(self.model)  # and the adapters themselves
            self.model = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
