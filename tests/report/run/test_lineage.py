"""Who was edited into what: lanes come below the network that they were made of."""

from __future__ import annotations

from collections.abc import Callable

from deltanas.records import Attempt, Run, Verdict
from deltanas.report.run.lineage import ABREAST, STEP, lineage_of

MakeAttempt = Callable[..., Attempt]


def test_an_edited_attempt_gets_a_lane_below_its_dot(make_attempt: MakeAttempt) -> None:
    rows = (
        make_attempt(0, 0, parent_id="other"),
        make_attempt(0, 1),
        make_attempt(0, 2, verdict=Verdict.SHAPE, gain=None),
        make_attempt(1, 0, parent_id="c00-s001", gain=-0.01, proxy_accuracy=0.9),
    )
    picture = lineage_of(Run(attempts=rows))
    assert picture is not None
    assert [lane.name for lane in picture.lanes] == ["plain-a", "c00-s001", "other"]
    plain, edited, _ = picture.lanes
    assert (edited.x, edited.above) == (plain.dots[0].x, plain.dots[0].y)
    assert edited.y > plain.y
    assert edited.dots[0].x > plain.dots[1].x  # a later cycle
    assert [dot.kind for dot in (*plain.dots, *edited.dots)] == ["g3", "gx", "g1"]
    assert plain.dots[1].title == "c00-s002 from plain-a: shape"


def test_many_edits_of_a_cycle_go_below_each_other(make_attempt: MakeAttempt) -> None:
    rows = [make_attempt(0, slot) for slot in range(ABREAST + 1)]
    picture = lineage_of(Run(attempts=tuple(rows)))
    assert picture is not None
    first, last = picture.lanes[0].dots[0], picture.lanes[0].dots[-1]
    assert (last.x, last.y) == (first.x, first.y + STEP)


def test_data_sets_have_lanes_of_their_own(make_attempt: MakeAttempt) -> None:
    rows = (make_attempt(0, 0), make_attempt(0, 1, dataset="svhn"))
    picture = lineage_of(Run(attempts=rows))
    assert picture is not None
    assert sorted(lane.name for lane in picture.lanes) == ["plain-a (digits)", "plain-a (svhn)"]
    assert lineage_of(Run()) is None
