"""The typed edits: each on a small network of each style, with the lines that it must change."""

from __future__ import annotations

import re
from random import Random

from deltanas.propose.edits import blocks, convs, layers, modules, widths
from deltanas.propose.edits.view import view_of
from tests.propose.texts import ATTRIBUTES, SEQUENTIAL, STATEMENTS, changes, network, outcomes


def numbers(pattern: str, text: str) -> tuple[int, ...]:
    """Return the groups of a pattern as numbers."""
    match = re.search(pattern, text)
    assert match, text
    return tuple(map(int, match.groups()))


def test_width_changes_producer_norm_assignment_and_product_together() -> None:
    found = outcomes(widths.width, STATEMENTS)
    assert found
    for removed, added in found:
        if "in_channels = 48" in removed:
            new = added[removed.index("in_channels = 48")].removeprefix("in_channels = ")
            assert f"nn.Conv2d(in_channels, {new}, kernel_size=3, padding=1)," in added
            assert f"nn.BatchNorm2d({new})," in added
            assert f"in_channels = {new}" in added
        else:
            assert "nn.Linear(256, out_shape[0])," in removed
            new = added[0].removeprefix("nn.Linear(width, ").rstrip("),")
            assert added == [f"nn.Linear(width, {new}),", f"nn.Linear({new}, out_shape[0]),"]


def test_width_follows_a_product_of_literals() -> None:
    code = SEQUENTIAL.replace("nn.Conv2d(32, 32", "nn.Conv2d(32, 80")
    code = code.replace("nn.Linear(32 * 6 * 6", "nn.Linear(80 * 6 * 6")
    found = [added for removed, added in outcomes(widths.width, code) if "* 6 * 6" in str(removed)]
    assert found
    for added in found:
        (new,) = numbers(r"Linear\((\d+) \* 6 \* 6", added[-1])
        assert any(f", {new}, kernel_size=3" in line for line in added)


def test_width_refuses_what_it_cannot_follow() -> None:
    code = SEQUENTIAL.replace("self.head(self.features(x))", "torch.cat([x, x], 1).view(-1, 32)")
    code = code.replace("32 * 6 * 6", "3200")
    for _, added in outcomes(widths.width, code):
        assert not any("Linear" in line for line in added)


def test_kernel_keeps_the_output_size() -> None:
    for _, added in outcomes(convs.kernel, SEQUENTIAL):
        for line in added:
            size, padding = numbers(r"size=(\d+), padding=(\d+)", line)
            assert size == 2 * padding + 1


def test_kernel_adds_the_padding_that_was_implicit() -> None:
    code = network("self.features = nn.Conv2d(3, 8, 1)", "return self.features(x)")
    added = {line for _, lines in outcomes(convs.kernel, code) for line in lines}
    assert "self.features = nn.Conv2d(3, 8, 3, padding=1)" in added
    assert all("padding=" in line for line in added)


def test_activation_swaps_module_and_functional_forms() -> None:
    modules_found = {
        line for _, added in outcomes(layers.activation, SEQUENTIAL) for line in added
    }
    assert {"nn.GELU(),", "nn.SiLU(inplace=True),"} <= modules_found
    functional = {line for _, added in outcomes(layers.activation, ATTRIBUTES) for line in added}
    assert "x = F.leaky_relu(self.conv2(x))" in functional


def test_normalisation_groups_divide_the_width() -> None:
    lines = {line for _, added in outcomes(layers.normalisation, SEQUENTIAL) for line in added}
    assert "nn.BatchNorm2d(32)," in lines
    pairs = [re.search(r"GroupNorm\((\d+), (\d+)\)", line) for line in lines]
    assert any(pairs)
    assert all(int(m.group(2)) % int(m.group(1)) == 0 for m in pairs if m)


def test_removed_attribute_norm_becomes_identity() -> None:
    lines = {line for _, added in outcomes(layers.normalisation, ATTRIBUTES) for line in added}
    assert "self.bn1 = nn.Identity()" in lines


def test_dropout_suits_its_place() -> None:
    image = {line for _, added in outcomes(layers.dropout, SEQUENTIAL) for line in added}
    assert image
    assert all(re.fullmatch(r"nn\.Dropout2d\(0\.\d+\),", line) for line in image)
    code = network("self.head = nn.Sequential(\n    nn.Dropout(0.5),\n    nn.Linear(9, 9),\n)")
    found = outcomes(layers.dropout, code)
    assert (["nn.Dropout(0.5),"], []) in found
    assert (["nn.Dropout(0.5),"], ["nn.Dropout(0.2),"]) in found


def test_conv_options_keep_the_shape() -> None:
    lines = {line for _, added in outcomes(convs.conv_options, SEQUENTIAL) for line in added}
    assert lines == {
        "nn.Conv2d(in_shape[1], 32, kernel_size=3, padding=1, bias=False),",
        "nn.Conv2d(in_shape[1], 32, kernel_size=3, padding=2, dilation=2),",
        "nn.Conv2d(32, 32, kernel_size=3, padding=2, dilation=2),",
        "nn.Conv2d(32, 32, kernel_size=3, padding=1, groups=2),",
        "nn.Conv2d(32, 32, kernel_size=3, padding=1, groups=4),",
    }


def test_pooling_resizes_with_the_flattened_width() -> None:
    found = outcomes(convs.pooling, SEQUENTIAL)
    assert (
        ["nn.MaxPool2d(kernel_size=2, stride=2),"],
        ["nn.AvgPool2d(kernel_size=2, stride=2),"],
    ) in found
    assert (
        ["nn.AdaptiveAvgPool2d((6, 6)),", "self.head = nn.Linear(32 * 6 * 6, out_shape[0])"],
        ["nn.AdaptiveAvgPool2d((4, 4)),", "self.head = nn.Linear(32 * 4 * 4, out_shape[0])"],
    ) in found


def test_block_repeats_a_statement_group() -> None:
    found = outcomes(blocks.block, STATEMENTS, 80)
    repeats = [added for removed, added in found if not removed and added[0] == "layers += ["]
    assert repeats
    assert all(a[1].startswith("nn.Conv2d(in_channels, 48,") for a in repeats)
    assert all(a[-1] == "in_channels = 48" for a in repeats)  # the product reads the name


def test_block_removes_a_shape_preserving_group() -> None:
    assert (
        ["nn.Conv2d(32, 32, kernel_size=3, padding=1),", "nn.ReLU(inplace=True),"],
        [],
    ) in outcomes(blocks.block, SEQUENTIAL, 80)


def test_block_adds_an_attribute_and_its_call() -> None:
    found = [added for _, added in outcomes(blocks.block, ATTRIBUTES, 80)]
    added = next(a for a in found if "x = self.extra(x)" in a)
    assert added[0] == "self.extra = nn.Sequential("
    assert re.match(r"nn\.Conv2d\(16, 16, kernel_size=(\d), padding=\d", added[1])


def test_names_of_added_attributes_do_not_run_out() -> None:
    code, names = ATTRIBUTES, []
    for seed in range(7):
        added = modules.insert_attribute(view_of(code), Random(seed))
        names += [w.split(" ")[0] for w in changes(code, added)[1] if w.startswith("self.extra")]
        code = added or code
    assert names == ["self.extra", *(f"self.extra{number}" for number in range(2, 8))]


def test_skip_adds_the_input_of_a_shape_preserving_layer() -> None:
    found = outcomes(modules.skip, ATTRIBUTES)
    assert found
    assert all(
        change == (["x = F.relu(self.conv2(x))"], ["x = x + F.relu(self.conv2(x))"])
        for change in found
    )


def test_skip_brings_the_class_it_needs_once() -> None:
    edited = SEQUENTIAL
    for seed in range(6):
        edited = modules.skip(edited, Random(seed)) or edited
    assert edited.count("class Residual(nn.Module)") == 1
    assert edited.count("Residual(nn.Conv2d(") > 1


def test_inline_layers_stay_on_their_line() -> None:
    code = network("self.features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())")
    added = [line for _, lines in outcomes(layers.dropout, code) for line in lines]
    assert added
    assert all(line.count("nn.") == 4 for line in added)
