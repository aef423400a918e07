"""How like the known networks a new one is: the MinHash estimate of their Jaccard index."""

from __future__ import annotations

import re

import numpy as np
from datasketch.minhash import MinHash
from numpy.typing import NDArray

from deltanas.source import strip_comments

# The default of datasketch 2; named, since datasketch 1 draws other permutations for a seed.
_SCHEME = "affine32"
_SEED = 1
_BATCH = 4096  # shingles hashed at a time: 4 MB for 256 permutations
_PLANES = 4  # lowest bits of every hash value by which networks are told apart at first
_FEW = 64  # networks that are compared in full at once
_WORTH = 0.7  # share of the networks that are left where giving up the others saves time


class NoveltyIndex:
    """Signatures of the known networks, in which the most similar one is found, exactly.

    Networks are compared as sets of `shingle`-character pieces of their normalised source. A
    network is novel when its similarity to every known one is below `threshold` (paper, p. 4).
    With 256 permutations a network takes 1,152 bytes, and to find the nearest of 100,000 takes
    1 ms where it is near, and some where none is (`benchmarks/archive.py`).
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
        self._empty = MinHash(num_perm=permutations, seed=_SEED, scheme=_SCHEME)
        self._signatures = np.empty((64, permutations), dtype=np.uint32)  # rows beyond ids: unused
        words = -(-permutations // 64)
        self._sketches = np.empty((_PLANES, words, 64), dtype=np.uint64)  # last axis: networks
        self._ids: list[str] = []

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def definition(self) -> dict[str, str | int]:
        """Return what the similarities mean: those of two indexes compare where this is equal.

        It stays equal through JSON. The threshold is not part of it.
        """
        return {
            "measure": "minhash-jaccard",
            "text": "without comments and docstrings, white space collapsed",
            "shingle": self._shingle,  # characters
            "permutations": self._signatures.shape[1],
            "hash": "sha1-32",  # of UTF-8: the first four bytes, the lowest first
            "scheme": _SCHEME,  # of datasketch
            "seed": _SEED,
        }

    def similarity(self, code: str) -> tuple[float, str | None]:
        """Return the highest similarity, in [0, 1], to a known network, and that network's id.

        Of equally similar networks the first added is named; (0.0, None) when none is known.
        Raises SyntaxError when the code does not parse.
        """
        if not self._ids:
            return 0.0, None
        signature = self._signature(code)
        row, equal = self._nearest(signature)
        return equal / len(signature), self._ids[row]

    def is_novel(self, similarity: float) -> bool:
        """Return whether a network of this highest similarity may join the known ones."""
        return similarity < self.threshold

    def add(self, code: str, network_id: str) -> None:
        """Remember a network; raises SyntaxError when the code does not parse."""
        self._append(self._signature(code), network_id)

    @property
    def nbytes(self) -> int:
        """Return the memory of the signatures, bytes; it is taken in powers of two."""
        return self._signatures.nbytes + self._sketches.nbytes

    def _append(self, signature: NDArray[np.uint32], network_id: str) -> None:
        count = len(self._ids)
        if count == len(self._signatures):
            self._signatures = np.concatenate([self._signatures, np.empty_like(self._signatures)])
            wider = [self._sketches, np.empty_like(self._sketches)]
            self._sketches = np.concatenate(wider, axis=2)
        self._signatures[count] = signature
        self._sketches[:, :, count] = _sketch(signature)
        self._ids.append(network_id)

    def _nearest(self, signature: NDArray[np.uint32]) -> tuple[int, int]:
        """Return the row of the first most similar network, and in how many places it is equal.

        Hash values that differ in a bit differ. So the bits, 64 places at a time, bound from above
        in how many places a network is equal; rows bound below the best one seen are given up.
        """
        rows: slice | NDArray[np.intp] = slice(len(self._ids))
        bound = np.full(len(self._ids), len(signature), dtype=np.int16)
        differing: dict[int, NDArray[np.uint64]] = {}  # by word: bits of places known to differ
        best = 0
        for (plane, word), asked in np.ndenumerate(_sketch(signature)):
            found = self._sketches[plane, word, rows] ^ asked
            if word in differing:
                found &= ~differing[word]
                differing[word] |= found
            else:
                differing[word] = found
            bound -= np.bitwise_count(found)
            top = int(bound.argmax())
            nearest = top if isinstance(rows, slice) else rows[top]
            best = max(best, int(np.count_nonzero(self._signatures[nearest] == signature)))
            kept = np.flatnonzero(bound >= best)
            if len(kept) < _WORTH * len(bound):
                rows = kept if isinstance(rows, slice) else rows[kept]
                bound = bound[kept]
                differing = {each: bits[kept] for each, bits in differing.items()}
            if len(bound) <= _FEW:
                break
        left = np.flatnonzero(bound >= best)
        left = left if isinstance(rows, slice) else rows[left]
        equal = np.count_nonzero(self._signatures[left] == signature, axis=1)
        top = int(equal.argmax())
        return int(left[top]), int(equal[top])

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


def _sketch(signature: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Return the lowest bits of a signature, (planes, words of 64 places)."""
    words = -(-len(signature) // 64)
    bits = np.zeros((_PLANES, 64 * words), dtype=np.uint8)
    bits[:, : len(signature)] = signature >> np.arange(_PLANES, dtype=np.uint32)[:, None] & 1
    return np.packbits(bits, axis=1).view(np.uint64)
