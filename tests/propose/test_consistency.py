"""What the edits may not do, as the result would not build: found along lineages of edits."""

from __future__ import annotations

import re
from random import Random

from deltanas.propose.edits import blocks, layers, modules, widths
from tests.propose.texts import SEQUENTIAL, network, outcomes


def test_width_does_not_take_the_output_of_an_unknown_block_for_an_equal_one() -> None:
    block = "class Fire(nn.Module):\n    def __init__(self, in_channels, squeeze, expand):\n"
    code = network("""
self.features = nn.Sequential(
    nn.Conv2d(in_shape[1], 40, 3),
    nn.Conv2d(40, 64, 3),
    nn.Conv2d(64, 24, 1),
    Fire(24, 16, 32),
    Fire(64, 16, 32),
)
""").replace("class Net", f"{block}        super().__init__()\nclass Net")
    found = outcomes(widths.width, code)
    assert found
    assert all(
        removed == ["nn.Conv2d(in_shape[1], 40, 3),", "nn.Conv2d(40, 64, 3),"]
        for removed, _ in found
    )


GATED = network("""
for width in [16, 32, 64]:
    layers += [nn.Conv2d(c, width, 1), Gate(width, reduction=16)]
self.gates = nn.Sequential(Gate(8, reduction=8), Gate(96, reduction=32))
""").replace("class Net", "class Gate(nn.Module):\n    pass\nclass Net")


def test_no_reduction_grows_beyond_the_width_that_it_divides() -> None:
    found = outcomes(blocks.block, GATED, 200)
    pairs = re.findall(r"Gate\((\d+|width), reduction=(\d+)", str([added for _, added in found]))
    assert set(pairs) == {
        ("width", "8"),
        *(("8", "4"), ("8", "8")),
        *(("96", "16"), ("96", "32"), ("96", "64")),
    }


def test_depth_stops_growing() -> None:
    code = network("""
growth_rate = 512
depth = 64
n = 100
""")
    found = str([added for _, added in outcomes(blocks.block, code, 80)])
    assert set(re.findall(r"(\w+) = (\d+)", found)) == {
        ("growth_rate", "256"),
        ("depth", "63"),
        ("n", "99"),
    }


def test_no_width_shrinks_below_a_reduction() -> None:
    found = [added for _, added in outcomes(widths.width, GATED, 80)]
    lists = re.findall(r"for width in \[([\d, ]+)\]", str(found))
    assert min(int(number) for entries in lists for number in entries.split(", ")) == 16


def test_a_gate_divides_widths_only_that_it_can() -> None:
    code = SEQUENTIAL.replace("32", "4")
    edits = [modules.skip(code, Random(seed)) or "" for seed in range(80)]
    assert set(re.findall(r"ChannelGate\(4, reduction=(\d)\)", str(edits))) == {"2", "4"}


def test_a_single_pixel_is_not_normalised_over_its_image() -> None:
    code = network(
        """
self.bn = nn.BatchNorm2d(8)
self.pool = nn.AdaptiveAvgPool2d(1)
self.first = nn.BatchNorm2d(16)
self.second = nn.Sequential(nn.BatchNorm2d(24))
self.gate = nn.Sequential(nn.BatchNorm2d(32), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(40))
self.last = nn.BatchNorm2d(48)
""",
        """\
x = self.bn(x)
x = x * self.gate(x)
y = F.relu(self.second(self.first(self.pool(x))))
y = y + self.second(y)
z = self.last(x)
return y, z""",
    )
    lines = str([added for _, added in outcomes(layers.normalisation, code, 200)])
    assert set(re.findall(r"InstanceNorm2d\((\d+)", lines)) == {"8", "32", "48"}
    means = code.replace("self.pool(x)", "x.mean(dim=(2, 3), keepdim=True)")
    lines = str([added for _, added in outcomes(layers.normalisation, means, 200)])
    assert set(re.findall(r"InstanceNorm2d\((\d+)", lines)) == {"8", "32", "48"}
