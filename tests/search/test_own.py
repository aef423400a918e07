"""A run goes on with the images and networks of the user's own that it began with."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from deltanas.config.choices import ArchiveName
from deltanas.config.ranges import ConfigError
from deltanas.config.schema import Config
from deltanas.evaluate.images.image_data import blank_data
from deltanas.records import Baseline
from deltanas.search.own import check_own, own_data
from tests.fakes import RECIPE, baseline

POOL = [baseline(name, 30) for name in "abcdefg"]


def configured(archive: ArchiveName = ArchiveName.folder) -> Config:
    config = Config()
    config.dataset.name, config.dataset.root = "pets", "/images"
    config.archive.name, config.archive.path = archive, "/networks"
    return config


def own(pool: list[Baseline] = POOL, state: str = "5a", **options: Any) -> dict[str, Any]:
    images = replace(blank_data(image_size=8, channels=1, num_classes=2), state=state)
    return own_data(configured(**options), {"pets": images}, {"pets": pool})


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (own(state="5b"), "^the images of /images are not those .* or time of change. To go on"),
        (own([replace(POOL[0], code="x"), *POOL[1:]]), r"networks of /networks .* \(changed: a\)"),
        (own([replace(POOL[0], recipe=replace(RECIPE, lr=1.0)), *POOL[1:]]), r"\(changed: a\)"),
        (own([*POOL[1:], baseline("z", 1)]), r"\(gone: a; new: z\)\. To go on"),
        (own(POOL[:1]), r"\(gone: b, c, d, e, f and 1 more\)"),
    ],
)
def test_what_changed_is_refused_by_name(found: dict[str, Any], message: str) -> None:
    held = json.loads(json.dumps(own()))  # as the run's file gives it back
    check_own(held, own(), configured())
    with pytest.raises(ConfigError, match=message):
        check_own(held, found, configured())


def test_a_run_without_digests_and_networks_of_the_package_go_on() -> None:
    check_own(None, own(), configured())
    held = own(archive=ArchiveName.builtin)
    check_own(held, own([], archive=ArchiveName.builtin), configured(ArchiveName.builtin))


def test_nothing_else_is_the_users_own() -> None:
    assert own(state="", archive=ArchiveName.lemur) == {"images": {}, "networks": {}}
