"""From a conversation to tokens: the GGUF's own chat template (sandboxed) and its own tokenizer.

What people, datasets and models wrote is tokenized apart from the template's text and never parsed for
control tokens, so `<|im_end|>` inside an answer stays eight harmless characters.
"""

import contextlib
import os
import re
import signal
import sys
import threading
from unittest import mock

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment, SecurityError

from .errors import TinyemError
from .packing import Row

_MARK = "\uf8ff{}\uf8ff"  # private-use character: stands for message text while the template renders


@contextlib.contextmanager
def quiet():
    """llama.cpp logs to file descriptor 2 from C; send that nowhere while a model loads.

    A Ctrl-C meanwhile is kept for afterwards: raised inside a callback from C it would be lost.
    """
    caught, before = [], None
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGINT, lambda *_: caught.append(1))
    sys.stderr.flush()
    keep, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(keep, 2)
        os.close(keep)
        os.close(null)
        if before is not None:
            signal.signal(signal.SIGINT, before)
    if caught:
        raise KeyboardInterrupt


def model_params():
    """llama.cpp's default parameters of a model, less what crashes."""
    import llama_cpp

    params = llama_cpp.llama_model_default_params()
    if b"AMX_INT8 = 1" in llama_cpp.llama_print_system_info():
        params.use_extra_bufts = False  # compiled for a CPU with AMX tiles, llama.cpp dies in its first decode (its issue 20824)
    return params


def open_llama(path, **options):
    """llama_cpp.Llama with its log silenced and its failures said in one line."""
    import llama_cpp

    try:
        with quiet(), mock.patch.object(llama_cpp.llama_cpp, "llama_model_default_params", return_value=model_params()):
            return llama_cpp.Llama(str(path), verbose=False, **options)
    except (ValueError, AssertionError, RuntimeError) as e:
        reason = (str(e).splitlines() or [type(e).__name__])[0][:120]
        raise TinyemError(f"llama.cpp cannot open {path} ({reason}): the file may be cut short; download or copy it again")


class _Sandbox(ImmutableSandboxedEnvironment):
    """No attribute access beyond data, no mutation, and no product or power that could fill the memory."""

    intercepted_binops = frozenset(["*", "**"])

    def call_binop(self, context, operator, left, right):
        if all(isinstance(x, (int, float)) and abs(x) < 1e6 for x in (left, right)):
            return super().call_binop(context, operator, left, right)
        raise SecurityError(f"'{operator}' of such operands is not allowed in a chat template")


class Chat:
    """Tokenizer and template of one GGUF."""

    def __init__(self, path):
        self.llama = open_llama(path, vocab_only=True)
        meta = self.llama.metadata
        source = meta.get("tokenizer.chat_template")
        if not source:
            raise TinyemError(f"{path} has no chat template: use an instruction-tuned (chat) GGUF")
        env = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
        env.globals["raise_exception"] = self._refuse
        env.globals["strftime_now"] = lambda fmt: "26 Jul 2024"  # a fixed date: prompts must not change by the day
        try:
            self._template = env.from_string(source)
        except (TemplateError, RecursionError) as e:
            raise TinyemError(f"the model's chat template does not parse ({e}): use another GGUF")
        self.end = self.llama.token_eos()
        self._tokens = {t: self._decode_special(t) for t in (self.llama.token_bos(), self.end)}

    @staticmethod
    def _refuse(message):
        raise TinyemError(f"the model's chat template refuses this conversation: {message}")

    def _decode_special(self, token: int) -> str:
        return self.llama.detokenize([token], special=True).decode("utf-8", "replace") if token >= 0 else ""

    def text_tokens(self, text: str) -> list[int]:
        """Plain text to tokens; control-token names inside it are not special."""
        return self.llama.tokenize(text.encode("utf-8", "replace"), add_bos=False, special=False) if text else []

    def _split(self, messages, add_generation_prompt) -> list[list[int]]:
        """Token pieces: template text and message texts in turn (template, message 0, template, ...)."""
        marked = [{"role": m["role"], "content": _MARK.format(i)} for i, m in enumerate(messages)]
        try:
            out = self._template.render(messages=marked, add_generation_prompt=add_generation_prompt,
                                        bos_token=self._tokens.get(self.llama.token_bos(), ""),
                                        eos_token=self._tokens[self.end])
        except TinyemError:
            raise
        except Exception as e:  # a template is untrusted code: anything may come out of it
            raise TinyemError(f"the model's chat template failed ({type(e).__name__}: {str(e)[:80]}): use another GGUF")
        parts = re.split("\uf8ff(\\d+)\uf8ff", out)
        if [int(n) for n in parts[1::2]] != list(range(len(messages))):
            raise TinyemError("the model's chat template drops or reorders messages: use another GGUF")
        pieces = []
        for i, part in enumerate(parts):
            if i % 2:
                pieces.append(self.text_tokens(messages[int(part)]["content"].strip()))
            else:
                pieces.append(self.llama.tokenize(part.encode(), add_bos=False, special=True) if part else [])
        return pieces

    def messages(self, question: str, system: str | None = None) -> list[dict]:
        head = [{"role": "system", "content": system}] if system else []
        return head + [{"role": "user", "content": question}]

    def prompt(self, messages: list[dict]) -> list[int]:
        """Tokens of a conversation up to where the assistant is to speak."""
        return [t for piece in self._split(messages, True) for t in piece]

    def row(self, question: str, answer: str, system: str | None = None) -> Row:
        """One question and answer as a Row; all before the question is the prefix that rows may share."""
        messages = self.messages(question, system)
        pieces = self._split(messages, True)
        prefix = [t for p in pieces[:-2] for t in p]
        return Row(tuple(prefix), tuple(pieces[-2] + pieces[-1]), tuple(self.text_tokens(answer.strip()) + [self.end]))

    def decode(self, tokens) -> str:
        return self.llama.detokenize(list(tokens)).decode("utf-8", "replace") if len(tokens) else ""
