"""How like the known networks a new one is: the MinHash estimate of their Jaccard index."""

from __future__ import annotations

from hashlib import sha1

import numpy as np
from datasketch.minhash import MinHash
from numpy.typing import NDArray

from deltanas.screen.trees import tree_shingles
from deltanas.source import strip_comments

# The default of datasketch 2; named, since datasketch 1 draws other permutations for a seed.
_SCHEME = "affine32"
_SEED = 1
_BLOCK = 32  # permutations at a time: 0.5 MB for 4,000 shingles, which a core's cache holds


class NoveltyIndex:
    """Signatures of the known networks, each of which a new network is compared with.

    Networks are compared as sets of `shingle`-character pieces of their normalised source or, as
    `trees`, of runs of `shingle` nodes of their architecture's syntax. A network is novel when
    its similarity to every known one is below `threshold` (paper, p. 4).
    With 256 permutations a signature takes 1 KB and, for 8,000 characters, 6 ms; the search takes
    0.4 ms among 3,300 networks, and 15 ms and 26 MB more among 100,000 (`benchmarks/archive.py`).
    """

    def __init__(
        self,
        permutations: int = 256,
        shingle: int = 10,
        threshold: float = 0.90,
        *,
        trees: bool = False,
    ) -> None:
        if permutations < 1 or shingle < 1 or not 0.0 <= threshold <= 1.0:
            raise ValueError(
                "permutations >= 1, shingle >= 1 and 0 <= threshold <= 1 must hold, but got"
                f" ({permutations=}, {shingle=}, {threshold=})"
            )
        self.threshold = threshold
        self._shingle = shingle
        self._trees = trees
        drawn = MinHash(num_perm=permutations, seed=_SEED, scheme=_SCHEME).permutations
        self._factors, self._shifts = drawn[:, :, np.newaxis]
        self._signatures = np.empty((64, permutations), dtype=np.uint32)  # rows beyond ids: unused
        self._ids: list[str] = []

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def definition(self) -> dict[str, str | int]:
        """Return what the similarities mean: those of two indexes compare where this is equal.

        It stays equal through JSON. The threshold is not part of it.
        """
        text = {
            "measure": "minhash-jaccard",
            "text": "without comments and docstrings, white space collapsed",
        }
        tree = {
            "measure": "minhash-jaccard of trees",
            "tree": "nodes in preorder, without imports and training, own names alike",
        }
        return {
            **(tree if self._trees else text),
            "shingle": self._shingle,  # characters, or nodes
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
        return self._signatures.nbytes

    def _append(self, signature: NDArray[np.uint32], network_id: str) -> None:
        count = len(self._ids)
        if count == len(self._signatures):
            self._signatures = np.concatenate([self._signatures, np.empty_like(self._signatures)])
        self._signatures[count] = signature
        self._ids.append(network_id)

    def _nearest(self, signature: NDArray[np.uint32]) -> tuple[int, int]:
        """Return the row of the first most similar network, and in how many places it is equal."""
        equal = (self._signatures[: len(self._ids)] == signature).sum(axis=1, dtype=np.int32)
        row = int(equal.argmax())
        return row, int(equal[row])

    def _signature(self, code: str) -> NDArray[np.uint32]:
        """Return the hash values (permutations,) of datasketch's MinHash of the shingles."""
        if self._trees:
            shingles = tree_shingles(code, self._shingle)
        else:
            shingles = _shingles(" ".join(strip_comments(code).split()), self._shingle)
        digests = b"".join([sha1(shingle).digest() for shingle in shingles])
        hashes = _mixed(np.frombuffer(digests, "<u4")[::5])  # the first 4 bytes of every 20
        least = np.empty(len(self._factors), dtype=np.uint32)
        for start in range(0, len(least), _BLOCK):
            some = slice(start, start + _BLOCK)
            permuted = self._factors[some] * hashes + self._shifts[some]
            permuted.min(axis=1, out=least[some])
        return least


def _shingles(text: str, length: int) -> set[bytes]:
    """Return the distinct pieces of `length` characters, in UTF-8; of a shorter text the whole."""
    data = text.encode()
    starts = np.flatnonzero(np.frombuffer(data, np.uint8) & 0xC0 != 0x80).tolist()  # of characters
    ends = [*starts[length:], len(data)]
    return {data[start:end] for start, end in zip(starts, ends, strict=False)} or {data}


def _mixed(hashes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the hashes mixed as the scheme asks: with the finalizer of MurmurHash3, 32 bits."""
    high, middle = np.uint32(16), np.uint32(13)
    hashes = (hashes ^ hashes >> high) * np.uint32(0x85EBCA6B)
    hashes = (hashes ^ hashes >> middle) * np.uint32(0xC2B2AE35)
    return hashes ^ hashes >> high
