"""Networks with equal syntax trees: trained once, the score of the first stands for all."""

from __future__ import annotations

from deltanas.source import fingerprint


def tree_of(code: str) -> str | None:
    """Return the fingerprint of a network, or None where its code does not parse."""
    try:
        return fingerprint(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class Duplicates:
    """Known networks by fingerprint. A fingerprint keeps the id that it was first added with."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def find(self, code: str) -> str | None:
        """Return the id of the network whose syntax tree equals that of `code`, or None.

        Raises SyntaxError when the code does not parse.
        """
        return self._ids.get(fingerprint(code))

    def add(self, code: str, network_id: str) -> None:
        """Remember a network; raises SyntaxError when the code does not parse."""
        self._ids.setdefault(fingerprint(code), network_id)
