"""What a page sends when it has corrections: who, since when, and which edits. Judged before the database is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nucleus_app.domain.edits import MAX_ID
from nucleus_app.domain.line import to_line
from nucleus_app.errors import InvalidEdit

MAX_READER = 60
TAKEN_AT_ONCE = 1000
"""Of a longer list the first so many are taken; ``ack`` says so, and the sender sends the rest again."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class SentEdit:
    """An edit as it came: ``op`` is judged only when those before it are kept."""

    seq: int
    op: object


@dataclass(frozen=True, slots=True)
class Submission:
    client: str
    author: str
    reader: str
    after: int
    edits: tuple[SentEdit, ...]


def parse_submission(body: object) -> Submission:
    """A request's body. Raises InvalidEdit when it is not of the form of decision 0008; then nothing of it is kept."""
    if not isinstance(body, dict):
        raise InvalidEdit("The body is no object: send {client, author, reader, after, edits}.")
    names = []
    for field in ("client", "author"):
        name = body.get(field)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidEdit(f"{field} is no name: send 1 to 64 of letters, digits, '-' and '_', such as a UUID.")
        names.append(name)
    reader = body.get("reader", "")
    if not isinstance(reader, str):
        raise InvalidEdit(f"reader is no text: send a name of up to {MAX_READER} characters, or an empty one.")
    edits = body.get("edits")
    if not isinstance(edits, list):
        raise InvalidEdit("edits is no list: send a list of {seq, op}.")
    after = _whole(body.get("after"), 0, "after", "the rev up to which the page knows the log")
    return Submission(names[0], names[1], to_line(reader, MAX_READER), after, _parse_edits(edits))


def _parse_edits(edits: list[object]) -> tuple[SentEdit, ...]:
    sent: list[SentEdit] = []
    for edit in edits:
        if not isinstance(edit, dict):
            raise InvalidEdit("An edit is no object: send {seq, op}.")
        seq = _whole(edit.get("seq"), 1, "seq", "1, 2, 3 … within a client")
        if sent and seq <= sent[-1].seq:
            raise InvalidEdit(f"seq {seq} comes after {sent[-1].seq}: send a client's edits in their order, each once.")
        sent.append(SentEdit(seq, edit.get("op")))
    return tuple(sent)


def _whole(value: object, lowest: int, name: str, meaning: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= MAX_ID:
        raise InvalidEdit(f"{name} is no whole number from {lowest}: it is {meaning}.")
    return value
