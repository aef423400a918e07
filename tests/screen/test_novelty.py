from __future__ import annotations

import json
import random
import re
import string
from pathlib import Path

import numpy as np
import pytest
from datasketch.minhash import MinHash
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deltanas.screen.novelty import NoveltyIndex
from deltanas.source import strip_comments

BUILTIN = Path(__file__).parents[2] / "deltanas" / "archive" / "builtin"


def shingles(code: str, length: int = 10) -> set[str]:
    text = re.sub(r"\s+", " ", strip_comments(code)).strip()
    return {text[i : i + length] for i in range(max(1, len(text) - length + 1))}


def exact_jaccard(first: str, second: str) -> float:
    a, b = shingles(first), shingles(second)
    return len(a & b) / len(a | b)


def builtin(name: str) -> str:
    return (BUILTIN / f"{name}.py").read_text()


def network(width: int) -> str:
    return builtin("resnet_basic").replace("16", str(width))


def test_the_same_network_in_another_layout_has_similarity_one() -> None:
    index = NoveltyIndex()
    index.add(network(16), "resnet")
    other = re.sub(r"\n\n+", "\n\n# a comment\n\n\n", network(16))
    assert index.similarity(other) == (1.0, "resnet")
    assert not index.is_novel(1.0)


def test_the_highest_similarity_is_named_below_the_threshold_too() -> None:
    code = builtin("resnet_preact")
    index = NoveltyIndex()
    exact = {}
    for name in ("lenet", "vgg", "resnet_basic", "convmixer"):
        index.add(builtin(name), name)
        exact[name] = exact_jaccard(code, builtin(name))
    similarity, nearest = index.similarity(code)
    assert nearest == max(exact, key=lambda name: exact[name]) == "resnet_basic"
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


def datasketch_signature(
    code: str, permutations: int = 256, length: int = 10
) -> NDArray[np.uint32]:
    minhash = MinHash(num_perm=permutations, seed=1, scheme="affine32")
    minhash.update_batch(shingle.encode() for shingle in shingles(code, length))
    signature: NDArray[np.uint32] = minhash.hashvalues
    return signature


@pytest.mark.parametrize("path", sorted(BUILTIN.glob("*.py")), ids=lambda path: path.stem)
def test_signatures_of_networks_are_those_of_datasketch(path: Path) -> None:
    code = path.read_text()
    np.testing.assert_array_equal(NoveltyIndex()._signature(code), datasketch_signature(code))


@given(
    st.one_of(st.just(""), st.text().map(lambda text: f"x = {text!r}\n")),
    st.integers(1, 70),
    st.integers(1, 12),
)
def test_signatures_of_texts_are_those_of_datasketch(
    code: str, permutations: int, length: int
) -> None:
    index = NoveltyIndex(permutations=permutations, shingle=length)
    expected = datasketch_signature(code, permutations, length)
    np.testing.assert_array_equal(index._signature(code), expected)


CONVS = "".join(f"layer{i} = Conv2d({i}, 16, kernel_size=3)\n" for i in range(40))
SIMILARITIES = {  # equal places of 256, as runs recorded them with datasketch 2.0.0
    "factor": (CONVS, CONVS.replace("16", "24"), 121),
    "call": ("x = relu(conv(x))\n", "x = gelu(conv(x))\n", 58),
    "pool": ("x = max_pool2d(x, kernel_size=2)\n", "x = avg_pool2d(x, kernel_size=2)\n", 143),
    "kernel": (
        "def f(x):\n    return conv(x, kernel_size=3)\n",
        "def f(x):\n    return conv(x, kernel_size=5)\n",
        213,
    ),
    "umlauts": ("title = 'größe der Netze'\n", "title = 'größe des Netzes'\n", 80),
    "resnets": (builtin("resnet_basic"), builtin("resnet_preact"), 121),
    "vggs": (builtin("vgg"), builtin("vgg_blocks"), 126),
    "plain": (builtin("plain_cnn"), builtin("plain_cnn_bn"), 136),
    "vits": (builtin("vit"), builtin("vit_conv"), 97),
    "mobilenets": (builtin("mobilenet_v1"), builtin("mobilenet_v2"), 106),
    "strangers": (builtin("lenet"), builtin("convnext"), 107),
}


@pytest.mark.parametrize(
    ("known", "asked", "places"), SIMILARITIES.values(), ids=SIMILARITIES.keys()
)
def test_similarities_stay_as_recorded(known: str, asked: str, places: int) -> None:
    index = NoveltyIndex()
    index.add(known, "known")
    assert index.similarity(asked) == (places / 256, "known")


def test_the_definition_tells_measures_apart_and_survives_json() -> None:
    usual = NoveltyIndex().definition
    assert usual == {
        "measure": "minhash-jaccard",
        "text": "without comments and docstrings, white space collapsed",
        "shingle": 10,
        "permutations": 256,
        "hash": "sha1-32",
        "scheme": "affine32",
        "seed": 1,
    }
    assert json.loads(json.dumps(usual)) == usual == NoveltyIndex(threshold=0.5).definition
    assert NoveltyIndex(permutations=64).definition != usual
    assert NoveltyIndex(shingle=5).definition != usual


def test_a_network_is_novel_below_the_threshold_only() -> None:
    strict = NoveltyIndex(threshold=0.5)
    assert not strict.is_novel(0.5)
    assert strict.is_novel(0.49)


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"threshold <= 1 must hold, but got .*threshold=90"):
        NoveltyIndex(threshold=90)
