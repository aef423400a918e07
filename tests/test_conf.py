"""Every combination of groups composes, and values that cannot hold are refused by name."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException, MissingConfigException

from deltanas.config import Config, ConfigError, Decoding, ProposerKind, from_hydra, register

CONF = Path(__file__).parents[1] / "conf"


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def composed(*overrides: str) -> Config:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return from_hydra(compose("config", overrides=list(overrides)))


@pytest.mark.parametrize("ablation", options("ablation"))
def test_every_llm_dataset_protocol_and_ablation_composes(ablation: str):
    for llm in options("llm"):
        for dataset in options("dataset"):
            for protocol in options("protocol"):
                config = composed(
                    f"llm={llm}",
                    f"dataset={dataset}",
                    f"protocol={protocol}",
                    f"ablation={ablation}",
                )
                assert config.ablation == ablation
                assert (config.llm.name, config.protocol.name) == (llm, protocol)


@pytest.mark.parametrize("ablation", [name for name in options("ablation") if name != "none"])
def test_an_ablation_changes_the_search(ablation: str):
    changed, plain = composed(f"ablation={ablation}"), composed()
    assert changed != plain


def test_the_paper_protocol_is_the_papers():
    config = composed("protocol=paper", "llm=qwen")
    assert (config.protocol.cycles, config.protocol.candidates) == (22, 50)
    assert config.decoding is Decoding.free
    assert (config.lora.r, config.lora.alpha, config.lora.lr) == (32, 32, 1e-5)
    assert (config.llm.temperature, config.llm.top_k, config.llm.top_p) == (0.35, 50, 0.9)


def test_ablations_win_over_the_protocol():
    assert composed("protocol=quick", "ablation=no_lora").lora.enabled is False
    assert composed("ablation=random_edit").proposer is ProposerKind.random_edit


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("protocol.cycles=-3", r"protocol\.cycles=-3 is out of range; it must be at least 1"),
        ("llm.temperature=0", r"llm\.temperature=0\.0 is out of range; it must be above 0"),
        ("novelty.threshold=1.5", r"at least 0 and at most 1"),
        ("tracker.mode=cloud", r"tracker\.mode=cloud is unknown; .* offline, online"),
        ("executor.workers=0", r"executor\.workers=0 is out of range"),
        ("executor.jail=none", r"executor\.jail=none is unknown; .* auto, strong, noopen, weak"),
    ],
)
def test_values_out_of_range_are_named(override: str, message: str):
    with pytest.raises(ConfigError, match=message):
        composed(override)


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
