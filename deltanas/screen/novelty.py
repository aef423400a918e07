"""How like the known networks a new one is: the MinHash estimate of their Jaccard index."""

from __future__ import annotations

import re

import numpy as np
from datasketch.minhash import MinHash
from numpy.typing import NDArray

from deltanas.source import strip_comments

_BATCH = 4096  # shingles hashed at a time: 4 MB for 256 permutations


class NoveltyIndex:
    """Signatures of the known networks, compared one by one: exact maximum, about 1 ms at 10,000.

    Networks are compared as sets of `shingle`-character pieces of their normalised source. A
    network is novel when its similarity to every known one is below `threshold` (paper, p. 4).
    """

    def __init__(
        self, permutations: int = 256, shingle: int = 10, threshold: float = 0.90
    ) -> None:
        if permutations < 1 or shingle < 1 or not 0.0 <= threshold <= 1.0:
            raise ValueError(
                "permutations >= 1, shingle >= 1 and 0 <= threshold <= 1 must hold, but got"
                f" ({permutations=}, {shingle=}, {threshold=})"
            )
        self.threshold = threshold
        self._shingle = shingle
        self._empty = MinHash(num_perm=permutations, seed=1)
        self._signatures = np.empty((64, permutations), dtype=np.uint32)  # rows beyond ids: unused
        self._ids: list[str] = []

    def __len__(self) -> int:
        return len(self._ids)

    def definition(self) -> str:
        """Return the sentence that says what the similarities of this index mean."""
        return (
            f"minhash-jaccard, {self._signatures.shape[1]} permutations, {self._shingle}-character"
            " shingles, comments stripped and white space collapsed,"
            f" threshold {self.threshold:.2f}"
        )

    def similarity(self, code: str) -> tuple[float, str | None]:
        """Return the highest similarity, in [0, 1], to a known network, and that network's id.

        Of equally similar networks the first added is named; (0.0, None) when none is known.
        Raises SyntaxError when the code does not parse.
        """
        if not self._ids:
            return 0.0, None
        signature = self._signature(code)
        equal = np.count_nonzero(self._signatures[: len(self._ids)] == signature, axis=1)
        best = int(equal.argmax())
        return float(equal[best]) / len(signature), self._ids[best]

    def is_novel(self, similarity: float) -> bool:
        """Return whether a network of this highest similarity may join the known ones."""
        return similarity < self.threshold

    def add(self, code: str, network_id: str) -> None:
        """Remember a network; raises SyntaxError when the code does not parse."""
        count = len(self._ids)
        if count == len(self._signatures):
            self._signatures = np.concatenate([self._signatures, np.empty_like(self._signatures)])
        self._signatures[count] = self._signature(code)
        self._ids.append(network_id)

    def _signature(self, code: str) -> NDArray[np.uint32]:
        """Return the signature (permutations,); datasketch's hash values fit 32 bits."""
        text = re.sub(r"\s+", " ", strip_comments(code)).strip()
        last = max(1, len(text) - self._shingle + 1)
        shingles = sorted({text[i : i + self._shingle].encode() for i in range(last)})
        minhash = self._empty.copy()
        for start in range(0, len(shingles), _BATCH):
            minhash.update_batch(shingles[start : start + _BATCH])
        signature: NDArray[np.uint32] = minhash.hashvalues.astype(np.uint32)
        return signature
