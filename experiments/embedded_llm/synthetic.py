"""Made-up networks in LEMUR's interface: many layouts and block classes, so that edits generalise.

LEMUR's short networks share a few layouts; an LLM trained on them alone does not learn where a
width or a name comes from in a layout that it has not seen. These are valid by construction at
32 x 32 pixels and above.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

HEADER = "import torch\nimport torch.nn as nn\n"
FUNCTIONAL = "import torch.nn.functional as F\n"
SIGNATURE = (
    "    def __init__(self, in_shape: tuple, out_shape: tuple, prm: dict, device: torch.device)"
    " -> None:\n        super().__init__()\n        self.device = device\n"
)
FROZEN = """
    def train_setup(self, prm):
        self.to(self.device)
        self.criteria = (nn.CrossEntropyLoss().to(self.device),)
        self.optimizer = torch.optim.SGD(self.parameters(), lr=prm['lr'], momentum=prm['momentum'])

    def learn(self, train_data):
        self.train()
        for inputs, labels in train_data:
            inputs, labels = inputs.to(self.device), labels.to(self.device)
            self.optimizer.zero_grad()
            loss = self.criteria[0](self(inputs), labels)
            loss.backward()
            nn.utils.clip_grad_norm_(self.parameters(), 3)
            self.optimizer.step()


def supported_hyperparameters():
    return {'lr', 'momentum', 'dropout'}
"""
ACTIVATIONS = (
    ("nn.ReLU(inplace=True)", "F.relu({})"),
    ("nn.ReLU()", "torch.relu({})"),
    ("nn.GELU()", "F.gelu({})"),
    ("nn.SiLU(inplace=True)", "F.silu({})"),
    ("nn.LeakyReLU(0.1)", "F.leaky_relu({}, 0.1)"),
    ("nn.ELU()", "F.elu({})"),
    ("nn.Hardswish()", "F.hardswish({})"),
)
WIDTHS = (8, 12, 16, 20, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 256)


@dataclass(frozen=True, slots=True)
class Block:
    """A class of a made-up network: its text, and how it is called."""

    code: str
    call: Callable[[int, int, int], str]  # from channels in, channels out and stride
    keeps: bool = False  # channels and size stay
    divisor: int = 1  # of both channel numbers


class Writer:
    """One style of writing layers, drawn at random and kept through a network."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.activation, self.function = rng.choice(ACTIVATIONS)
        self.keyword = rng.random() < 0.6
        self.bias = rng.choice(("", "", ", bias=False"))
        self.norms = rng.choices(("batch", "group", "none"), (6, 2, 1))[0]
        self.inputs, self.outputs = rng.choice(
            (("in_channels", "out_channels"), ("inp", "oup"), ("c_in", "c_out"), ("in_ch", "out"))
        )
        self.blocks: list[Block] = []
        self.names: list[str] = []

    def conv(
        self, a: object, b: object, k: int = 3, stride: object = 1, groups: object = 1
    ) -> str:
        """Return a convolution that keeps the size, but for its stride."""
        text = f"nn.Conv2d({a}, {b}, {'kernel_size=' if self.keyword else ''}{k}"
        text += f", stride={stride}" if stride != 1 else ""
        text += f", padding={k // 2}" if k > 1 else ""
        text += f", groups={groups}" if groups != 1 else ""
        return f"{text}{self.bias})"

    def norm(self, width: object) -> str:
        """Return a normalisation of so many channels; all widths are multiples of 4."""
        if self.norms == "group" and isinstance(width, int):
            return f"nn.GroupNorm({self.rng.choice((1, 2, 4))}, {width})"
        return f"nn.BatchNorm2d({width})"

    def group(self, a: object, b: object, k: int = 3, stride: object = 1) -> list[str]:
        """Return convolution, mostly norm, and activation."""
        normed = [self.norm(b)] if self.norms != "none" or self.rng.random() < 0.3 else []
        return [self.conv(a, b, k, stride), *normed, self.activation]

    def sequence(self, target: str, layers: list[str], pad: str = " " * 8) -> str:
        """Return `target = nn.Sequential(...)`, one layer a line."""
        inner = "".join(f"{pad}    {layer},\n" for layer in layers)
        return f"{pad}{target} = nn.Sequential(\n{inner}{pad})\n"

    def define(self, name: str, arguments: str, init: str, forward: str) -> str:
        """Return a block class."""
        blank = "\n" if self.rng.random() < 0.5 else ""
        return (
            f"class {name}(nn.Module):\n    def __init__(self, {arguments}):\n"
            f"        super().__init__()\n{init}{blank}    def forward(self, x):\n{forward}\n\n"
        )


def _act(w: Writer, inner: str) -> str:
    return w.function.format(inner)


def _plain(w: Writer, name: str) -> Block:
    i, o = w.inputs, w.outputs
    k = w.rng.choice((3, 3, 5))
    if w.rng.random() < 0.5:
        init = w.sequence("self.body", [w.conv(i, o, k, "stride"), w.norm(o), w.activation])
        forward = "        return self.body(x)\n"
    else:
        init = f"        self.conv = {w.conv(i, o, k, 'stride')}\n        self.bn = {w.norm(o)}\n"
        forward = f"        return {_act(w, 'self.bn(self.conv(x))')}\n"
    code = w.define(name, f"{i}, {o}, stride=1", init, forward)
    return Block(code, lambda a, b, s: f"{name}({a}, {b}, stride={s})")


def _residual(w: Writer, name: str) -> Block:
    c = w.rng.choice(("channels", "dim", "width"))
    init = (
        f"        self.conv1 = {w.conv(c, c)}\n        self.bn1 = {w.norm(c)}\n"
        f"        self.conv2 = {w.conv(c, c)}\n        self.bn2 = {w.norm(c)}\n"
    )
    if w.rng.random() < 0.5:
        forward = (
            f"        out = {_act(w, 'self.bn1(self.conv1(x))')}\n"
            f"        out = self.bn2(self.conv2(out))\n        return {_act(w, 'x + out')}\n"
        )
    else:
        init = w.sequence(
            "self.body", [w.conv(c, c), w.norm(c), w.activation, w.conv(c, c), w.norm(c)]
        )
        forward = "        return x + self.body(x)\n"
    return Block(w.define(name, c, init, forward), lambda a, b, s: f"{name}({a})", keeps=True)


def _shortcut(w: Writer, name: str) -> Block:
    i, o = w.inputs, w.outputs
    init = (
        f"        self.conv1 = {w.conv(i, o, 3, 'stride')}\n        self.bn1 = {w.norm(o)}\n"
        f"        self.conv2 = {w.conv(o, o)}\n        self.bn2 = {w.norm(o)}\n"
        f"        self.shortcut = {w.conv(i, o, 1, 'stride')}\n"
    )
    forward = (
        f"        out = {_act(w, 'self.bn1(self.conv1(x))')}\n"
        "        out = self.bn2(self.conv2(out))\n"
        f"        return {_act(w, 'out + self.shortcut(x)')}\n"
    )
    code = w.define(name, f"{i}, {o}, stride", init, forward)
    return Block(code, lambda a, b, s: f"{name}({a}, {b}, {s})")


def _separable(w: Writer, name: str) -> Block:
    i, o = w.inputs, w.outputs
    init = (
        f"        self.depthwise = {w.conv(i, i, 3, 'stride', i)}\n"
        f"        self.pointwise = {w.conv(i, o, 1)}\n        self.norm = {w.norm(o)}\n"
    )
    forward = (
        "        x = self.pointwise(self.depthwise(x))\n"
        f"        return {_act(w, 'self.norm(x)')}\n"
    )
    code = w.define(name, f"{i}, {o}, stride=1", init, forward)
    return Block(code, lambda a, b, s: f"{name}({a}, {b}{f', stride={s}' if s > 1 else ''})")


def _attention(w: Writer, name: str) -> Block:
    ratio = w.rng.choice((2, 4))
    init = (
        "        self.pool = nn.AdaptiveAvgPool2d(1)\n"
        "        self.fc1 = nn.Conv2d(channels, channels // reduction, 1)\n"
        "        self.fc2 = nn.Conv2d(channels // reduction, channels, 1)\n"
    )
    forward = (
        f"        scale = {_act(w, 'self.fc1(self.pool(x))')}\n"
        "        return x * torch.sigmoid(self.fc2(scale))\n"
    )
    code = w.define(name, "channels, reduction=2", init, forward)
    return Block(code, lambda a, b, s: f"{name}({a}, reduction={ratio})", keeps=True)


def _branches(w: Writer, name: str) -> Block:
    i, k = w.inputs, w.rng.choice((3, 5))
    init = (
        f"        self.branch1 = {w.conv(i, 'half', 1)}\n"
        f"        self.branch2 = {w.conv(i, 'half', k)}\n"
        f"        self.norm = {w.norm('half * 2')}\n"
    )
    forward = (
        "        x = torch.cat([self.branch1(x), self.branch2(x)], dim=1)\n"
        f"        return {_act(w, 'self.norm(x)')}\n"
    )
    code = w.define(name, f"{i}, half", init, forward)
    return Block(code, lambda a, b, s: f"{name}({a}, {b // 2})")


def _bottleneck(w: Writer, name: str) -> Block:
    i, o = w.inputs, w.outputs
    factor = w.rng.choice((2, 4))
    init = f"        hidden = {i} {w.rng.choice(('*', '//'))} expansion\n" + w.sequence(
        "self.layers",
        [w.conv(i, "hidden", 1), w.norm("hidden"), w.activation]
        + [w.conv("hidden", "hidden", 3, "stride"), w.activation, w.conv("hidden", o, 1)],
    )
    forward = "        return self.layers(x)\n"
    code = w.define(name, f"{i}, {o}, stride, expansion={factor}", init, forward)
    return Block(code, lambda a, b, s: f"{name}({a}, {b}, stride={s})", divisor=4)


def _gated(w: Writer, name: str) -> Block:
    c = w.rng.choice(("channels", "dim"))
    init = f"        self.value = {w.conv(c, c)}\n        self.control = {w.conv(c, c, 1)}\n"
    forward = (
        "        control = torch.sigmoid(self.control(x))\n"
        f"        value = {_act(w, 'self.value(x)')}\n"
        "        return control * value + (1 - control) * x\n"
    )
    return Block(w.define(name, c, init, forward), lambda a, b, s: f"{name}({a})", keeps=True)


def _splits(w: Writer, name: str) -> Block:
    init = (
        "        half = channels // 2\n"
        f"        self.first = {w.conv('half', 'half')}\n"
        f"        self.second = {w.conv('half', 'half', w.rng.choice((3, 5)))}\n"
        f"        self.norm = {w.norm('channels')}\n"
    )
    forward = (
        "        one, two = x.chunk(2, dim=1)\n"
        "        one = self.first(one)\n        two = self.second(two + one)\n"
        f"        return {_act(w, 'self.norm(torch.cat([one, two], dim=1))')}\n"
    )
    code = w.define(name, "channels", init, forward)
    return Block(code, lambda a, b, s: f"{name}({a})", keeps=True)


MAKERS = (
    *(_plain, _plain, _residual, _shortcut, _separable, _attention, _branches, _bottleneck),
    *(_gated, _splits),
)
CLASS_NAMES = (
    *("ConvBlock", "ResBlock", "DownBlock", "Separable", "Attention", "Branches", "Bottleneck"),
    *("GateBlock", "SplitBlock", "Unit", "Stage", "Layer", "Cell", "Mixer"),
)


def synthetic_network(rng: random.Random) -> str:
    """Return the source of a made-up network that maps (B, C, H, W) images to (B, classes)."""
    w = Writer(rng)
    names = rng.sample(CLASS_NAMES, 3)
    makers = rng.sample(MAKERS, rng.choice((0, 1, 1, 2, 2, 3)))
    w.blocks = [maker(w, name) for maker, name in zip(makers, names, strict=False)]
    layout = rng.choice((_sequential, _sequential, _attributes, _attributes, _looped, _stages))
    if not any(not block.keeps for block in w.blocks) and layout is _stages:
        layout = _sequential
    init, forward, width, flat = layout(w)
    init += "" if flat else _head(w, width)
    forward += "" if flat else _tail(w)
    body = "".join(block.code for block in w.blocks)
    text = f"{body}class Net(nn.Module):\n{SIGNATURE}{_shape()}{init}\n"
    text += f"    def forward(self, x: torch.Tensor) -> torch.Tensor:\n{forward}"
    return HEADER + (FUNCTIONAL if "F." in text else "") + "\n\n" + text + FROZEN


def _shape() -> str:
    return "        channels = in_shape[1]\n        num_classes = out_shape[0]\n"


def _head(w: Writer, width: int) -> str:
    hidden = w.rng.choice((64, 96, 128, 256))
    lines = w.rng.choice(("        self.pool = nn.AdaptiveAvgPool2d(1)\n", ""))
    w.names = [*w.names, "pool" if lines else ""]
    classes = "num_classes"
    if w.rng.random() < 0.4:
        layers = [f"nn.Linear({width}, {hidden})", w.activation, "nn.Dropout(prm['dropout'])"]
        return lines + w.sequence("self.fc", [*layers, f"nn.Linear({hidden}, {classes})"])
    if w.rng.random() < 0.3:
        lines += "        self.dropout = nn.Dropout(prm['dropout'])\n"
        w.names.append("dropout")
    return f"{lines}        self.fc = nn.Linear({width}, {classes})\n"


def _tail(w: Writer) -> str:
    if "pool" in w.names:
        lines = "        x = self.pool(x)\n        x = torch.flatten(x, 1)\n"
    else:
        lines = w.rng.choice(
            (
                "        x = x.mean(dim=(2, 3))\n",
                "        x = torch.nn.functional.adaptive_avg_pool2d(x, 1).flatten(1)\n",
            )
        )
    if "dropout" in w.names:
        lines += "        x = self.dropout(x)\n"
    return f"{lines}        return self.fc(x)\n"


def _widths(rng: random.Random, count: int, divisor: int = 4) -> list[int]:
    start = rng.randrange(0, 8)
    chosen = sorted(rng.choice(WIDTHS[start : start + 8]) for _ in range(count))
    return [max(width - width % divisor, 8) for width in chosen]


Layout = tuple[str, str, int, bool]  # init, forward, width at the end, whether it ends in logits


def _steps(w: Writer, count: int) -> tuple[list[tuple[str, ...]], int]:
    """Return groups of layer texts, from the image's channels on, and the last width."""
    first = "in_shape[1]" if w.rng.random() < 0.15 else "channels"
    widths = _widths(w.rng, count)
    steps: list[tuple[str, ...]] = [tuple(w.group(first, widths[0], w.rng.choice((3, 3, 5))))]
    shrinks = 0
    for a, b in zip(widths, widths[1:], strict=False):
        stride = 2 if shrinks < 3 and w.rng.random() < 0.4 else 1
        changing = [x for x in w.blocks if not x.keeps and a % x.divisor == 0]
        keeping = [x for x in w.blocks if x.keeps]
        if changing and w.rng.random() < 0.65:
            block = w.rng.choice(changing)
            steps.append((block.call(a, b, stride),))
        else:
            steps.append(tuple(w.group(a, b, w.rng.choice((1, 3, 3, 5)), stride)))
        shrinks += stride > 1
        if keeping and w.rng.random() < 0.6:
            steps.append((w.rng.choice(keeping).call(b, b, 1),))
        if shrinks < 3 and w.rng.random() < 0.25:
            shrinks += 1
            pool = w.rng.choice(("MaxPool2d(2)", "MaxPool2d(kernel_size=2, stride=2)"))
            steps.append((f"nn.{pool if w.rng.random() < 0.7 else 'AvgPool2d(2)'}",))
    return steps, widths[-1]


def _sequential(w: Writer) -> Layout:
    steps, width = _steps(w, w.rng.randint(3, 5))
    layers = [layer for step in steps for layer in step]
    if w.rng.random() < 0.25:
        init = w.sequence("self.features", layers)
        last = [w.conv(width, "num_classes", 1), "nn.AdaptiveAvgPool2d(1)", "nn.Flatten()"]
        init += w.sequence("self.classifier", last)
        return init, "        return self.classifier(self.features(x))\n", width, True
    cut = w.rng.randint(1, len(steps) - 1) if w.rng.random() < 0.4 else 0
    if cut:
        parts = (steps[:cut], steps[cut:])
        init = "".join(
            w.sequence(f"self.part{n}", [layer for step in part for layer in step])
            for n, part in enumerate(parts, 1)
        )
        return init, "        x = self.part1(x)\n        x = self.part2(x)\n", width, False
    return w.sequence("self.features", layers), "        x = self.features(x)\n", width, False


def _attributes(w: Writer) -> Layout:
    steps, width = _steps(w, w.rng.randint(3, 5))
    init, forward = "", ""
    for n, step in enumerate(steps, 1):
        if len(step) > 1:
            init += f"        self.conv{n} = {step[0]}\n"
            inner = f"self.conv{n}(x)"
            if len(step) > 2:
                init += f"        self.bn{n} = {step[1]}\n"
                inner = f"self.bn{n}({inner})"
            forward += f"        x = {_act(w, inner)}\n"
        else:
            name = "pool" if "Pool" in step[0] else "block"
            init += f"        self.{name}{n} = {step[0]}\n"
            forward += f"        x = self.{name}{n}(x)\n"
    return init, forward, width, False


def _looped(w: Writer) -> Layout:
    widths = _widths(w.rng, w.rng.randint(3, 5))
    entries = [str(width) for width in widths]
    for place in sorted(w.rng.sample(range(1, len(entries)), 2), reverse=True):
        entries.insert(place, "'M'")
    k = w.rng.choice((3, 3, 5))
    inner = "".join(f"                    {layer},\n" for layer in w.group("last", "width", k))
    init = (
        f"        plan = [{', '.join(entries)}]\n        layers = []\n        last = channels\n"
        "        for width in plan:\n            if width == 'M':\n"
        "                layers.append(nn.MaxPool2d(2))\n            else:\n"
        f"                layers += [\n{inner}                ]\n                last = width\n"
        "        self.features = nn.Sequential(*layers)\n"
    )
    return init, "        x = self.features(x)\n", widths[-1], False


def _stages(w: Writer) -> Layout:
    block = w.rng.choice([x for x in w.blocks if not x.keeps])
    widths = _widths(w.rng, w.rng.randint(3, 4))
    call = (
        block.call(4, 8, 2).replace("(4, 8", "(last, width").replace("(4, 4", "(last, width // 2")
    )
    if "stride=2" in call:
        call = call.replace("stride=2", w.rng.choice(("stride=2", "stride=1")))
    stem = w.group("channels", widths[0])
    init = w.sequence("self.stem", stem) + (
        f"        layers = []\n        last = {widths[0]}\n"
        f"        for width in [{', '.join(map(str, widths[1:]))}]:\n"
        f"            layers.append({call})\n            last = width\n"
        "        self.features = nn.Sequential(*layers)\n"
    )
    return init, "        x = self.features(self.stem(x))\n", widths[-1], False
