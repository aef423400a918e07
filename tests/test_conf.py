"""Every combination of groups composes, and values that cannot hold are refused by name."""

from dataclasses import asdict
from itertools import cycle, product
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf.errors import MissingMandatoryValue

from deltanas.config.choices import Decoding, FinalistChoice, ProposerKind
from deltanas.config.compose import from_hydra, register
from deltanas.config.overrides import explained
from deltanas.config.ranges import ConfigError
from deltanas.config.schema import Config, ProposerConfig
from deltanas.report.formats import dotted

CONF = Path(__file__).parents[1] / "conf"


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


NAMED = {  # what must be given with an option
    "llm=custom": "llm.model=some/model",
    "dataset=folder": "dataset.root=/images",
    "archive=folder": "archive.path=/networks",
}


def composed(*overrides: str) -> Config:
    """Return the checked configuration."""
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return from_hydra(compose("config", overrides=list(overrides)))


@pytest.mark.parametrize("ablation", options("ablation"))
def test_every_ablation_composes_with_every_llm_and_every_dataset(ablation: str):
    pairs = zip(cycle(options("llm")), options("dataset"), strict=False)
    every = product(options("llm"), options("dataset"))
    for llm, dataset in every if ablation == "none" else pairs:
        words = [f"llm={llm}", f"dataset={dataset}"]
        named = [NAMED[word] for word in words if word in NAMED]
        config = composed(*words, *named, f"ablation={ablation}")
        assert config.ablation == ablation
        assert (config.llm.name, config.dataset.name) == (llm, dataset)


@pytest.mark.parametrize("protocol", options("protocol"))
def test_every_protocol_composes_with_every_llm(protocol: str):
    for llm in options("llm"):
        named = [NAMED["llm=custom"]] if llm == "custom" else []
        assert composed(f"llm={llm}", *named, f"protocol={protocol}").protocol.name == protocol


def test_six_is_the_six_sets_each_with_its_own_gate():
    dataset = composed("dataset=six", "dataset.root=/data").dataset
    names = ["cifar10", "cifar100", "mnist", "svhn", "imagenette", "celeba"]
    assert [one.name for one in dataset.sets()] == names
    assert {one.root for one in dataset.sets()} == {"/data"}
    gates = {one.name: dataset.gate_of(one) for one in dataset.sets()}
    assert gates["cifar100"] < gates["cifar10"] < gates["mnist"]
    absolute = composed("dataset=six", "ablation=absolute_gate").dataset
    assert {absolute.gate_of(one) for one in absolute.sets()} == {0.40}


CHANGES = {  # the one thing that each ablation changes, and how it is called
    "absolute_gate": {"dataset.gate"},
    "best_of_n": {"lora.enabled", "protocol.grow_pool"},  # nothing that was found is used
    "cumulative_corpus": {"lora.corpus"},
    "evolution": {"proposer.name", "parents", "novelty.gate"},  # another algorithm
    "free_decoding": {"decoding"},
    "full_generation": {"generation"},
    "graph_novelty": {"novelty.measure"},
    "no_lora": {"lora.enabled"},
    "no_novelty": {"novelty.gate"},
    "none": set(),
    "random_edit": {"proposer.name"},
    "random_pairs": {"lora.curation"},
    "small_context": {"llm.context"},
    "tree_novelty": {"novelty.measure"},
}


@pytest.mark.parametrize("ablation", options("ablation"))
def test_an_ablation_changes_one_thing_besides_its_name(ablation: str):
    changed, plain = (
        dict(dotted(asdict(config)))
        for config in (composed(f"ablation={ablation}"), composed("ablation=none"))
    )
    found = {key for key in plain.keys() | changed.keys() if plain.get(key) != changed.get(key)}
    assert found - {"ablation"} == CHANGES[ablation]
    assert changed["ablation"] == ablation


def test_the_paper_protocol_is_the_papers():
    config = composed("protocol=paper", "llm=qwen")
    assert (config.protocol.cycles, config.protocol.candidates) == (22, 50)
    assert config.decoding is Decoding.free
    assert (config.lora.r, config.lora.alpha, config.lora.lr) == (32, 32, 1e-5)
    assert (config.llm.temperature, config.llm.top_k, config.llm.top_p) == (0.35, 50, 0.9)


@pytest.mark.parametrize(
    ("dataset", "gate", "image_size"),
    [
        ("cifar10", 0.44, 32),
        ("cifar100", 0.10, 32),
        ("mnist", 0.976, 28),
        ("svhn", 0.40, 32),
        ("imagenette", 0.31, 64),
        ("celeba", 0.90, 64),
    ],
)
def test_every_dataset_has_its_own_gate(dataset: str, gate: float, image_size: int):
    found = composed(f"dataset={dataset}").dataset
    assert (found.name, found.gate, found.image_size) == (dataset, gate, image_size)


def test_ablations_win_over_the_protocol():
    assert composed("protocol=quick", "ablation=no_lora").lora.enabled is False
    assert composed("ablation=random_edit").proposer.name is ProposerKind.random_edit


def test_who_writes_is_a_group_with_options():
    assert composed().proposer == ProposerConfig(name=ProposerKind.llm, operators=0.0)
    edits = composed("proposer=random_edit", "proposer.operators=0.5").proposer
    assert edits == ProposerConfig(name=ProposerKind.random_edit, operators=0.5)
    assert composed("proposer=mixed").proposer.operators > 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["proposer.operators=1.5"], r"proposer\.operators=1\.5 .* at least 0 and at most 1"),
        (["repair.turns=3"], r"repair\.turns=3 is out of range; .* at least 0 and at most 2"),
        (["prompt.examples=-1"], r"prompt\.examples=-1 is out of range"),
        (["repair.turns=1", "ablation=random_edit"], r"^repair.* proposer=random_edit asks none$"),
        (["repair.turns=1", "llm.repair_prompt="], r"^repair\.turns=1 needs llm\.repair_prompt"),
        (["repair.turns=1", "generation=full"], r"^repair\.turns=1 works on deltas"),
        (["proposer=mixed", "generation=full"], r"^proposer\.operators=0\.3 works on deltas"),
        (["prompt.examples=4"], r"^prompt\.examples=4 has no place .* llm=tiny; .* \$examples$"),
        (["prompt.examples=4", "proposer=random_edit"], r"^prompt.*=random_edit reads no prompt$"),
    ],
)
def test_options_of_writing_that_have_no_room_are_refused(overrides: list[str], message: str):
    with pytest.raises(ConfigError, match=message):
        composed(*overrides)
    composed("llm=qwen", "repair.turns=2", "prompt.examples=4", "proposer.operators=1")


def test_a_custom_llm_must_be_named():
    with pytest.raises(MissingMandatoryValue, match="model"):
        composed("llm=custom")


@pytest.mark.parametrize("word", ["dataset=folder", "archive=folder"])
def test_what_is_the_users_own_must_be_named(word: str):
    key = NAMED[word].partition("=")[0]
    with pytest.raises(ConfigError, match=rf"^{key} has no value; it must be given: {key}=DIR"):
        composed(word)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dataset.channels=2"], r"channels=2 is out of range; it must be 1, for grey images, or"),
        (["dataset.channels=4"], r"channels=4 is out of range; .* at most 3"),
        (["dataset.image_size=96"], r"image_size=96 is more than archive\.max_image_size=64"),
    ],
)
def test_what_images_and_networks_of_ones_own_lack_is_named(words: list[str], message: str):
    with pytest.raises(ConfigError, match=message):
        composed("dataset=folder", "dataset.root=/images", *words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dataset=cifar10", "dataset.channels=1"], "cifar10 has its own, so leave it out"),
        (
            ["dataset=six", "dataset.channels=1"],
            r"^dataset\.channels=1 is for class folders",
        ),
        (["dataset=six", "dataset.members.svhn.channels=1"], r"members\.svhn\.channels=1 is for"),
    ],
)
def test_channels_are_for_images_of_ones_own(words: list[str], message: str):
    with pytest.raises(ConfigError, match=message):
        composed(*words)


def test_images_of_ones_own_have_any_name():
    dataset = composed("dataset=folder", "dataset.root=/pets", "dataset.name=pets").dataset
    assert dataset.own_sizes() == {"pets": 32}
    assert composed("dataset=cifar10").dataset.own_sizes() == {}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("protocol.cycles=-3", r"protocol\.cycles=-3 is out of range; it must be at least 1"),
        ("protocol.finalist_repeats=-1", r"finalist_repeats=-1 is out of range; .* at least 0"),
        ("llm.temperature=0", r"llm\.temperature=0\.0 is out of range; it must be above 0"),
        ("novelty.threshold=1.5", r"at least 0 and at most 1"),
        ("dataset.image_size=4", r"dataset\.image_size=4 is out of range; .* at least 8 and at"),
        ("dataset.gate=44", r"dataset\.gate=44\.0 is out of range; .* at most 1"),
        ("executor.workers=0", r"executor\.workers=0 is out of range"),
        ("llm.redraws=-1", r"llm\.redraws=-1 is out of range; it must be at least 0"),
    ],
)
def test_values_out_of_range_are_named(override: str, message: str):
    with pytest.raises(ConfigError, match=message):
        composed(override)


@pytest.mark.parametrize("word", ["llm.replacement=false", "llm.redraws=1"])
def test_a_single_reply_to_a_prompt_leaves_nothing_else_to_draw(word: str):
    with pytest.raises(ConfigError, match=r"llm\.top_k=1 leaves a single reply"):
        composed(word, "llm.top_k=1")
    assert composed(word, "llm.top_k=2").llm.top_k == 2


@pytest.mark.parametrize(
    ("override", "choices"),
    [
        ("llm.quantization=int8", "none, nf4"),
        ("tracker.mode=cloud", "offline, online"),
        ("executor.device=tpu", "cpu, cuda"),
        ("trainer.precision=float16", "float32, bfloat16"),
        ("executor.jail=none", "auto, strong, noopen, weak"),
    ],
)
def test_what_is_not_in_a_closed_list_is_told_the_list(override: str, choices: str):
    with pytest.raises(ConfigCompositionException) as refused:
        composed(override)
    assert f"expected one of [{choices}]" in explained(refused.value)
    assert override.partition("=")[0] in explained(refused.value)


def test_finalists_are_stratified_unless_the_best_are_asked_for():
    assert composed("protocol=paper").protocol.finalist_choice is FinalistChoice.stratified
    best = composed("protocol=paper", "protocol.finalist_choice=top")
    assert best.protocol.finalist_choice is FinalistChoice.top
    with pytest.raises(ConfigCompositionException, match=r"finalist_choice"):
        composed("protocol.finalist_choice=best")


def test_a_network_that_trains_itself_chooses_its_own_precision():
    with pytest.raises(ConfigError, match="chooses its own, so it must be float32"):
        composed("trainer.loop=own", "trainer.precision=bfloat16")


def test_a_network_that_trains_itself_does_so_on_a_cpu():
    with pytest.raises(ConfigError, match="told by its CPU time, so it must be cpu"):
        composed("trainer.loop=own", "executor.device=cuda")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("tune=dpo tune.siblings=1", r"siblings=1 leaves every answer .* must be at least 2"),
        ("tune=grpo protocol.candidates=7", r"=7 is too few for tune.objective=grpo; .* least 8"),
        ("tune=dpo dataset=six", r"=12 is too few for tune.objective=dpo; .* at least 24"),
        (
            "tune=grpo prompt.examples=2",
            r"=2 gives every sibling a prompt of its own",
        ),
        ("tune=kto tune.beta=0", r"tune.beta=0 leaves tune.objective=kto without a gradient"),
        ("tune.real_share=0.3", r"real_share=0.3 mixes .*corpus=own has one kind only"),
        ("tune.real_share=0.3 lora.corpus=static", r"lora.corpus=static has one kind only"),
        ("tune=kto lora.corpus=static", r"set lora.corpus=own, or cumulative with a tune.real_sh"),
        ("tune.real_share=0.95", r"real_share=0.95 is out of range; .* at most 0.9"),
        ("tune.siblings=0", r"tune.siblings=0 is out of range"),
    ],
)
def test_what_cannot_be_tuned_so_is_refused(overrides: str, message: str):
    with pytest.raises(ConfigError, match=message):
        composed(*overrides.split())


def test_where_nothing_is_tuned_its_settings_are_no_fault():
    for ablation in ("no_lora", "best_of_n", "random_edit"):
        composed("tune=dpo", "tune.siblings=1", f"ablation={ablation}")


@pytest.mark.parametrize("tune", options("tune"))
def test_every_way_of_tuning_composes_and_is_named_after_its_objective(tune: str):
    config = composed(f"tune={tune}")
    assert config.tune.objective == tune
    plain = Config().tune
    assert (config.tune == plain) is (tune == "sft")
    mixed = composed(f"tune={tune}", "protocol=ours", "archive=lemur", "tune.real_share=0.3")
    assert mixed.tune.real_share == 0.3


def test_the_paper_tunes_as_the_paper_did():
    assert composed("protocol=paper").tune == Config().tune


def test_every_fault_is_named_at_once():
    with pytest.raises(ConfigError, match=r"(?s)protocol\.cycles.*lora\.lr"):
        composed("protocol.cycles=0", "lora.lr=0")


def test_unknown_groups_and_keys_are_refused():
    with pytest.raises(MissingConfigException, match="mistrl"):
        composed("llm=mistrl")
    with pytest.raises(ConfigCompositionException, match="cyles"):
        composed("cyles=3")


def test_every_yaml_says_what_it_is_for():
    for path in CONF.rglob("*.yaml"):
        comments = [line for line in path.read_text().splitlines()[:2] if line.startswith("# ")]
        assert any("@package" not in line for line in comments), path


def test_relative_paths_start_where_the_command_was_typed(tmp_path: Path):
    (tmp_path / "weights").mkdir()
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        words = ["dataset.root=sets", "archive.path=a.sqlite", "llm=custom", "llm.model=weights"]
        config = from_hydra(compose("config", overrides=words), tmp_path)
        at_home = from_hydra(compose("config", overrides=['dataset.root="~/sets"']), tmp_path)
    assert config.dataset.root == str(tmp_path / "sets")
    assert at_home.dataset.root == str(Path("~/sets").expanduser())
    assert config.archive.path == str(tmp_path / "a.sqlite")
    assert config.llm.model == str(tmp_path / "weights")
