"""Images of one's own: any layout that people have, or a sentence that says what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deltanas.evaluate import DatasetError, ImageData
from deltanas.evaluate.images.folder import ImageFiles, folder_source
from deltanas.evaluate.images.image_data import ImageSet, Split
from deltanas.evaluate.images.source import Part
from tests.evaluate.images.miniatures import level

SIZE = (12, 9)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/deltanas/datasets"


def draw(folder: Path, count: int = 10, classes: str = "ab") -> Path:
    """Write images whose grey level tells their class."""
    for label, name in enumerate(classes):
        for number in range(count):
            path = folder / name / f"{number}.{'png' if number % 2 else 'JPG'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = Image.new("RGB", SIZE, (level(label),) * 3)
            image.save(path, "PNG" if number % 2 else "JPEG")
    return folder


def load(root: Path, seed: int = 7, channels: int = 3) -> ImageData:
    return ImageSet(name="own", seed=seed, image_size=8, root=str(root), channels=channels).load()


def counts(data: ImageData) -> list[list[int]]:
    """Return how many images of each class every split has; each image tells its class."""
    for split in Split:
        levels = np.array([level(label) for label in data.labels(split)])
        assert (abs(data.images(split).astype(int) - levels[:, None, None, None]) <= 2).all()
    return [
        np.bincount(data.labels(split), minlength=data.num_classes).tolist() for split in Split
    ]


@pytest.mark.parametrize("held_out", ["test", "val", "valid"])
def test_the_parts_are_those_of_the_folders(held_out: str, tmp_path: Path) -> None:
    draw(tmp_path / "own/train", 10)
    draw(tmp_path / "own" / held_out, 3, "ab")
    data = load(tmp_path / "own", channels=1)
    assert counts(data) == [[9, 9], [1, 1], [3, 3]]
    assert (data.pixels.shape, data.mean) == ((26, 1, 8, 8), None)


def test_a_class_that_the_test_part_lacks_moves_no_label(tmp_path: Path) -> None:
    draw(tmp_path / "own/train", 10, "abc")
    draw(tmp_path / "own/test", 2, "abc")
    draw(tmp_path / "own/val", 4, "abc")  # beside a test part it is left alone
    for path in (tmp_path / "own/test/b").iterdir():
        path.unlink()
    (tmp_path / "own/test/b").rmdir()
    assert counts(load(tmp_path / "own")) == [[9, 9, 9], [1, 1, 1], [2, 0, 2]]


def test_about_a_fifth_of_every_class_is_the_test_part_whatever_the_seed(tmp_path: Path) -> None:
    root = draw(tmp_path / "own", 10)
    (root / ".hidden").mkdir()
    (root / "a/._0.png").write_bytes(b"what another system leaves")
    (root / "a/notes.txt").touch()
    nested = root / "a/more/10.png"
    nested.parent.mkdir()
    Image.new("L", SIZE, level(0)).save(nested)
    first, again = load(root, seed=7), load(root, seed=8)
    assert counts(first) == [[9, 8], [1, 1], [1, 1]]
    np.testing.assert_array_equal(first.test_rows, again.test_rows)
    assert not np.array_equal(first.val_rows, again.val_rows)


def files_of(root: Path, part: Part) -> set[Path]:
    found = folder_source("own", root, image_size=8, channels=3)
    return {path for path, _ in found.make(root, part, 8, transform=None)._files}  # type: ignore[attr-defined]


def test_more_images_leave_the_test_part_its_images(tmp_path: Path) -> None:
    root = draw(tmp_path / "own", 20)
    before = files_of(root, Part.TEST)
    for name in "ab":
        for number in range(20):  # names that sort before the others
            Image.new("L", SIZE).save(root / name / f"!{number}.png")
    after = files_of(root, Part.TEST)
    assert before < after
    assert 0.1 < len(after) / 80 < 0.3


def test_a_class_has_images_in_both_parts_whatever_their_names(tmp_path: Path) -> None:
    for number in range(100):
        for name in ("x.png", "y.png"):
            path = tmp_path / f"{number}" / name
            path.parent.mkdir(exist_ok=True)
            path.touch()
    parts = [files_of(tmp_path, part) for part in Part]
    assert [len({path.parent for path in files}) for files in parts] == [100, 100]


def test_changed_files_are_decoded_anew_and_the_older_copies_go(
    tmp_path: Path, cache: Path
) -> None:
    def copies() -> set[str]:
        return {path.name for path in cache.glob("[!.]*")}

    root, other = draw(tmp_path / "own"), draw(tmp_path / "other")
    load(other)
    kept = copies()
    load(root, channels=1)
    first = load(root)
    assert len(copies() - kept) == 2
    Image.new("L", SIZE).save(root / "a/new.png")
    assert len(load(root).pixels) == len(first.pixels) + 1
    assert len(copies() - kept) == 1
    assert copies() > kept
    (root / "a/new.png").unlink()
    again = load(root)  # files as they were bring the same split
    assert again.state == first.state
    np.testing.assert_array_equal(again.pixels, first.pixels)
    np.testing.assert_array_equal(again.val_labels, first.val_labels)


def test_images_are_seen_as_people_see_them(tmp_path: Path) -> None:
    root = draw(tmp_path / "own")
    deep = np.full(SIZE, level(0) << 8, np.uint16)
    for path in (root / "a").iterdir():
        path.unlink()
    for number in range(10):
        Image.fromarray(deep).save(root / "a" / f"{number}.png")
    assert counts(load(root, channels=1)) == [[7, 8], [1, 1], [2, 1]]
    turned = Image.new("L", (8, 16))
    exif = turned.getexif()
    exif[0x0112] = 6  # the camera lay on its side
    turned.save(tmp_path / "turned.jpg", exif=exif)
    (image, _) = ImageFiles(((tmp_path / "turned.jpg", 0),), lambda image: image)[0]
    assert image.size == (16, 8)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def _deep(path: Path) -> None:
    Image.fromarray(np.zeros(SIZE, np.int32)).save(path.with_suffix(".tif"))


def _keep(root: Path, count: int) -> None:
    for folder in root.iterdir():
        for path in sorted(folder.iterdir())[count:]:
            path.unlink()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            lambda root: (root / "b").rename(root.parent / "b"),
            "has 1 class folders; .* at least 2",
        ),
        (lambda root: (root / "c").mkdir(), "class folders without images: c; an image is a file"),
        (lambda root: (root / "a").rename(root / "test"), "a folder test, and no folder train"),
        (lambda root: (root / "a/1.png").write_bytes(b"no image"), "a/1.png cannot be read: .*"),
        (lambda root: _cut(root / "a/1.png"), "a/1.png cannot be read.* mend it or take it away"),
        (lambda root: _deep(root / "a/1.png"), "1.tif has pixels of 32 bits; they must have 8 or"),
        (lambda root: root.rename(root.parent / "gone"), "own does not exist; dataset.root must"),
        (
            lambda root: _keep(root, 2),
            "own has 2 images to train on, .* at least 6, so add",
        ),
        (lambda root: _keep(root, 1), "with a single image: a, b; .* add images, or give folders"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(harm: object, message: str, tmp_path: Path) -> None:
    root = draw(tmp_path / "own")
    harm(root)  # type: ignore[operator]
    with pytest.raises(DatasetError, match=message):
        load(root)


def test_classes_that_only_the_test_part_has_are_named(tmp_path: Path) -> None:
    draw(tmp_path / "own/train")
    draw(tmp_path / "own/test", 2, "abz")
    with pytest.raises(DatasetError, match="test has classes that train has not: z"):
        load(tmp_path / "own")


def test_links_are_followed(tmp_path: Path) -> None:
    draw(tmp_path / "elsewhere")
    for name in "ab":
        (tmp_path / "own" / name).mkdir(parents=True)
        (tmp_path / "own" / name / "linked").symlink_to(tmp_path / "elsewhere" / name)
    assert counts(load(tmp_path / "own")) == [[8, 8], [1, 1], [1, 1]]


def test_a_file_counts_once_however_many_links_lead_to_it(tmp_path: Path) -> None:
    root = draw(tmp_path / "own", 10)
    before = files_of(root, Part.TRAIN), files_of(root, Part.TEST)
    (root / "a/here").symlink_to(".")
    (root / "a/up").symlink_to("..")
    (root / "b/zz.png").symlink_to(root / "b/1.png")
    assert (files_of(root, Part.TRAIN), files_of(root, Part.TEST)) == before


def test_no_image_is_in_both_parts_by_a_link(tmp_path: Path) -> None:
    root = tmp_path / "own"
    draw(root / "train", 10)
    (root / "test").symlink_to("train")
    with pytest.raises(DatasetError, match="test has no images that train has not"):
        load(root)
    (root / "test").unlink()
    draw(root / "test", 2)
    (root / "test/a/copy.jpg").symlink_to(root / "train/a/0.JPG")
    assert counts(load(root))[2] == [2, 2]
    (root / "train/c").symlink_to("b")
    with pytest.raises(DatasetError, match="without images: c; .* counts once where links lead"):
        load(root)
