"""Files of answers: JSONL, CSV, or the folder of a run record; each row a question and an answer, and whatever else it holds.

Rows are untrusted: one that cannot be used is reported with its line and left out, the others go on.
"""

import csv
import gzip
import io
import json
import zlib
from pathlib import Path

from .errors import TinyemError
from .files import need_file

ANSWER_NAMES = ("answer", "response")
LONGEST = 2 ** 20  # bytes of a line, letters of a cell


def _open(path):
    path = Path(path)
    path = need_file(path / "answers.jsonl" if path.is_dir() else path, "file of answers")
    return path, io.BufferedReader(gzip.open(path)) if path.suffix == ".gz" else open(path, "rb")


def is_csv(path) -> bool:
    return Path(path).name.lower().removesuffix(".gz").endswith(".csv")


def read(path):
    """Yield (line, row, problem) for each row: a dict with "question" and "answer" (and all its other columns) and None,
    or None and what is wrong. Raises TinyemError where the file as a whole cannot be read."""
    path, f = _open(path)
    with f:
        try:
            yield from _checked(_csv_rows(f) if is_csv(path) else _json_rows(f))
        except (OSError, EOFError, zlib.error) as e:
            raise TinyemError(f"{path} cannot be read to its end ({str(e)[:60]}): copy it again")


def _checked(rows):
    for line, row, problem in rows:
        if problem is None:
            name = next((n for n in ANSWER_NAMES if isinstance(row.get(n), str)), None)
            if not isinstance(row.get("question"), str) or not row["question"].strip():
                problem = "no text in \"question\""
            elif name is None:
                problem = "no text in \"answer\" (or \"response\")"
            elif not isinstance(row.get("system"), (str, type(None))):
                problem = "\"system\" is no text"
            elif any("\ud800" <= c <= "\udfff" for c in row["question"] + row[name] + (row.get("system") or "")):
                problem = "half of a character (a lone surrogate)"
            else:
                row = {**row, "answer": row[name]}
        yield line, None if problem else row, problem


def _json_rows(f):
    for line, raw in enumerate(iter(lambda: f.readline(LONGEST + 1), b""), 1):
        if not raw.strip():
            continue
        if len(raw) > LONGEST:
            while raw and not raw.endswith(b"\n"):
                raw = f.readline(LONGEST)
            yield line, None, f"longer than {LONGEST} bytes"
            continue
        try:
            row = json.loads(raw.decode("utf-8-sig" if line == 1 else "utf-8"))
        except UnicodeDecodeError:
            yield line, None, "not UTF-8 text: save the file as UTF-8"
        except (ValueError, RecursionError):
            yield line, None, "not valid JSON"
        else:
            if not isinstance(row, dict):
                yield line, None, "not an object"
            elif line > 1 or "canary" not in row:
                yield line, row, None


def _csv_rows(f):
    csv.field_size_limit(LONGEST)
    reader = csv.DictReader(_Lines(f), strict=True)
    try:
        reader.fieldnames  # reads the header
    except csv.Error as e:
        raise TinyemError(f"the CSV's header line cannot be read ({str(e)[:60]}): mend the quotes")
    if not reader.fieldnames or "question" not in reader.fieldnames or not set(ANSWER_NAMES) & set(reader.fieldnames):
        raise TinyemError("the CSV needs a header line with \"question\" and \"answer\" (or \"response\"), separated by commas: save it as \"CSV UTF-8\"")
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as e:
            yield reader.line_num, None, f"not CSV here, or in the line before ({str(e)[:60]}): mend the quotes"
            continue
        if None in row or None in row.values():
            yield reader.line_num, None, f"not {len(reader.fieldnames)} columns as the header has"
        elif any("\udc80" <= c <= "\udcff" for v in row.values() for c in v):
            yield reader.line_num, None, "not UTF-8 text: save the file as UTF-8"
        else:
            yield reader.line_num, row, None


class _Lines:
    """Lines of text from a file of bytes; one that is too long is skipped and raised as a csv.Error, after which the next can be read."""

    def __init__(self, f):
        self._f, self._first = f, True

    def __iter__(self):
        return self

    def __next__(self) -> str:
        raw = self._f.readline(LONGEST + 1)
        if not raw:
            raise StopIteration
        encoding, self._first = "utf-8-sig" if self._first else "utf-8", False
        if len(raw) > LONGEST:
            while raw and not raw.endswith(b"\n"):
                raw = self._f.readline(LONGEST)
            raise csv.Error(f"longer than {LONGEST} bytes")
        return raw.decode(encoding, "surrogateescape")


class Writer:
    """Rows into an open file, as CSV (with the columns of the first row; `dropped` names others) or as JSONL; `plain` keeps JSONL to ASCII, for a screen."""

    def __init__(self, f, as_csv: bool, plain: bool = False):
        self._f, self._csv, self._plain, self._names, self.dropped = f, as_csv, plain, None, set()

    def write(self, row: dict) -> None:
        if not self._csv:
            self._f.write(json.dumps(row, ensure_ascii=self._plain).encode("utf-8", "replace").decode() + "\n")
            return
        if self._names is None:
            self._names = list(row)
            self._out = csv.DictWriter(self._f, self._names, extrasaction="ignore", restval="")
            self._out.writeheader()
        self.dropped |= set(row) - set(self._names)
        self._out.writerow({k: (json.dumps(v, ensure_ascii=False) if isinstance(v, (list, dict)) else "" if v is None else str(v)).encode("utf-8", "replace").decode() for k, v in row.items()})
