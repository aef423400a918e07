from __future__ import annotations

import random
import re
import string
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from deltanas.screen.novelty import NoveltyIndex
from deltanas.source import strip_comments

BUILTIN = Path(__file__).parents[2] / "deltanas" / "archive" / "builtin"


def exact_jaccard(first: str, second: str) -> float:
    texts = [re.sub(r"\s+", " ", strip_comments(code)).strip() for code in (first, second)]
    a, b = ({text[i : i + 10] for i in range(len(text) - 9)} for text in texts)
    return len(a & b) / len(a | b)


def network(width: int) -> str:
    return (BUILTIN / "resnet_basic.py").read_text().replace("16", str(width))


def test_the_same_network_in_another_layout_has_similarity_one() -> None:
    index = NoveltyIndex()
    index.add(network(16), "resnet")
    other = re.sub(r"\n\n+", "\n\n# a comment\n\n\n", network(16))
    assert index.similarity(other) == (1.0, "resnet")
    assert not index.is_novel(1.0)


def test_the_highest_similarity_is_named_below_the_threshold_too() -> None:
    paths = [BUILTIN / f"{name}.py" for name in ("lenet", "vgg", "resnet_basic", "convmixer")]
    index = NoveltyIndex()
    for path in paths:
        index.add(path.read_text(), path.stem)
    code = (BUILTIN / "resnet_preact.py").read_text()
    exact = {path.stem: exact_jaccard(code, path.read_text()) for path in paths}
    similarity, nearest = index.similarity(code)
    assert nearest == max(exact, key=lambda stem: exact[stem]) == "resnet_basic"
    assert similarity == pytest.approx(exact["resnet_basic"], abs=0.1)  # 3 standard errors
    assert index.is_novel(similarity)


def test_of_equals_the_first_is_named_and_the_index_grows() -> None:
    rng = random.Random(0)
    index = NoveltyIndex()
    codes = [
        "x = '" + "".join(rng.choices(string.ascii_letters, k=90)) + "'\n" for _ in range(200)
    ]
    for i, code in enumerate([*codes, *codes]):
        index.add(code, str(i))
    assert len(index) == 400
    assert [index.similarity(code) for code in codes] == [(1.0, str(i)) for i in range(200)]


@pytest.mark.parametrize("permutations", [30, 256])
def test_the_nearest_is_that_of_comparing_all_and_the_first_of_several(permutations: int) -> None:
    rng = np.random.default_rng(0)
    index = NoveltyIndex(permutations=permutations)
    families = rng.integers(0, 50, (6, permutations), dtype=np.uint32)
    known = np.array([mutant(families[row % 6], 0.1, rng) for row in range(500)])
    known[300] = known[40]
    for row, signature in enumerate(known):
        index._append(signature, str(row))
    strangers = rng.integers(0, 50, (20, permutations), dtype=np.uint32)
    asked = [mutant(known[row], 0.05, rng) for row in range(20)]
    for signature in [*asked, *strangers, known[300], families[0], strangers[0] + 100]:
        equal = (known == signature).sum(axis=1)
        assert index._nearest(signature) == (equal.argmax(), equal.max())


def mutant(
    signature: NDArray[np.uint32], share: float, rng: np.random.Generator
) -> NDArray[np.uint32]:
    """Return a signature of which a share is drawn anew."""
    drawn = rng.integers(0, 50, signature.shape, dtype=np.uint32)
    return np.where(rng.random(signature.shape) < share, drawn, signature)


def test_an_empty_index_and_a_short_network() -> None:
    index = NoveltyIndex()
    assert index.similarity("x = 1\n") == (0.0, None)
    index.add("x\n", "x")
    assert index.similarity("x\n") == (1.0, "x")
    assert index.similarity("y\n") == (0.0, "x")


def test_signatures_are_the_same_in_every_process() -> None:
    code = "".join(f"layer{i} = Conv2d({i}, 16, kernel_size=3)\n" for i in range(40))
    index = NoveltyIndex()
    index.add(code, "plain")
    similarity, _ = index.similarity(code.replace("16", "24"))
    assert similarity == 121 / 256  # as another process found


def test_the_definition_says_what_is_measured() -> None:
    assert NoveltyIndex().definition() == (
        "minhash-jaccard, 256 permutations, 10-character shingles, comments stripped and white"
        " space collapsed, threshold 0.90"
    )
    strict = NoveltyIndex(permutations=64, shingle=5, threshold=0.5)
    assert strict.definition().startswith("minhash-jaccard, 64 permutations, 5-character")
    assert not strict.is_novel(0.5)
    assert strict.is_novel(0.49)


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"threshold <= 1 must hold, but got .*threshold=90"):
        NoveltyIndex(threshold=90)
