"""The paper's figures stand beside what is like them, with what is not alike in words."""

from __future__ import annotations

import pytest

from deltanas.report.comparison.groups import GroupKey
from deltanas.report.comparison.paper import DELTA_ROWS, FULL_ROWS, caveats, paper_row


def key(llm: str = "qwen", ablation: str = "none", dataset: str = "digits") -> GroupKey:
    return GroupKey(
        llm=llm, dataset=dataset, archive="builtin", protocol="quick", ablation=ablation
    )


def test_valid_counts_add_up_to_the_papers_total() -> None:
    assert sum(row.valid or 0 for row in DELTA_ROWS.values()) == 2354


def test_reductions_are_those_of_the_abstract() -> None:
    found = sorted(row.reduction_lines or 0.0 for row in DELTA_ROWS.values())
    assert (found[0], found[-1]) == pytest.approx((0.75, 0.85), abs=0.005)


@pytest.mark.parametrize("llm", ["tiny", "random_edit"])
def test_other_llms_have_no_row(llm: str) -> None:
    assert paper_row(key(llm)) is None


def test_full_generation_stands_beside_its_llm_only() -> None:
    assert paper_row(key("deepseek", "full_generation")) is FULL_ROWS["deepseek"]
    assert paper_row(key("qwen", "full_generation")) is None


def test_an_ablation_that_the_paper_did_not_run_has_no_row() -> None:
    assert paper_row(key(ablation="no_lora")) is None
    assert paper_row(key(ablation="free_decoding")) is DELTA_ROWS["qwen"]


def test_notes_say_what_differs() -> None:
    text = " ".join(caveats([key()]))
    for word in (
        "six datasets",
        "one dataset (digits)",
        "LEMUR",
        "22 cycles",
        "locked",
        "RTX 4090",
    ):
        assert word in text
    assert "2601.02997" not in text


def test_notes_on_full_generation_name_its_study() -> None:
    assert "2601.02997" in " ".join(caveats([key("deepseek", "full_generation")]))


def test_an_llm_without_a_row_gets_a_note_and_no_others() -> None:
    (note,) = caveats([key("tiny")])
    assert "no row for tiny" in note
