"""The three families from configuration to a tuned, reloaded LLM, and refusals before a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from deltanas.config.ranges import ConfigError
from deltanas.config.schema import Config
from deltanas.llm import answers, loading
from deltanas.llm.decoding import Decoder
from deltanas.llm.loading import LLMError
from deltanas.llm.local import TransformersLLM
from deltanas.llm.requirements import GB, GIB
from deltanas.llm.sampling import SeededSampling
from deltanas.propose.prompt import render_answer, render_prompt
from deltanas.propose.proposer import LLMProposer
from deltanas.records import Baseline, Recipe
from deltanas.screen import DeltaError, apply_delta
from deltanas.search import needs
from deltanas.search.needs import llm_needs
from deltanas.search.parts import open_llm
from deltanas.tune.lora import LoraTuner
from deltanas.tune.objectives.sft import Sft
from deltanas.tune.rendering import TuningError, render_example
from tests.fakes import requests
from tests.families import FAMILIES, Family, write_toy
from tests.test_conf import composed
from tests.tune.pairs import PAPER, make_lesson

CODE = """import torch.nn as nn
class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        self.conv = nn.Conv2d(in_shape[1], 8, 3, padding=1)
        self.act = nn.ReLU()
    def forward(self, x):
        return self.act(self.conv(x))
    def train_setup(self, prm):
        pass
"""
BASELINE = Baseline(
    baseline_id="b",
    family="f",
    code=CODE,
    recipe=Recipe(lr=0.1, momentum=0.9, batch=4, image_size=8, flip=False),
    proxy_accuracy=0.5,
)
SMALL = ("llm.device=cpu", "llm.dtype=float32", "llm.context=2048", "llm.max_new_tokens=200")
FREE = ("llm.temperature=1", "llm.top_k=1000", "llm.top_p=1")  # an untrained LLM as it is


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a folder with a toy LLM for every family."""
    folder = tmp_path_factory.mktemp("families")
    return {family.name: write_toy(family, folder / family.name) for family in FAMILIES}


@pytest.fixture(params=FAMILIES, ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> Family:
    return request.param


def configured(family: Family, toys: dict[str, Path], *overrides: str) -> Config:
    return composed(f"llm={family.name}", f"llm.model={toys[family.name]}", *SMALL, *overrides)


def proposer_of(config: Config, llm: TransformersLLM) -> LLMProposer:
    return LLMProposer(llm, template=config.llm.prompt, locked=True)


def tuner_of(llm: TransformersLLM) -> LoraTuner:
    settings = replace(PAPER, r=4, alpha=8, lr=0.01, epochs=2, accumulate=1)
    return LoraTuner(
        llm.network,
        llm.tokenizer,
        settings,
        Sft(),
        max_tokens=llm.context,
        seed=0,
        gradient_checkpointing=True,
    )


def test_every_family_generates_locked_is_tuned_and_reloads(
    family: Family, toys: dict[str, Path], tmp_path: Path
):
    config = configured(family, toys, *FREE)
    llm = open_llm(config)
    assert type(llm.network).__name__ == family.network
    tuner = tuner_of(llm)
    before = proposer_of(config, llm).propose(requests(BASELINE, list(range(12))))
    finished = [proposal for proposal in before if not proposal.truncated]
    assert finished
    for proposal in finished:
        assert outcome(proposal.reply) in ("applied", "no_op")

    prompt = render_prompt(config.llm.prompt, BASELINE, "digits")
    answer = render_answer(config.llm.prompt, BASELINE, CODE.replace("ReLU", "GELU"), whole=False)
    assert answer
    lesson = make_lesson(1, prompt=prompt, answer=answer)
    result = tuner.learn([lesson], [lesson], seed=0, directory=tmp_path / "cycle_00")
    assert result.kept
    after = proposer_of(config, llm).propose(requests(BASELINE, [0, 1]))
    assert [p.reply for p in after] != [p.reply for p in before[:2]]

    again = open_llm(config)
    tuner_of(again).load(tmp_path / "cycle_00")
    replies = proposer_of(config, again).propose(requests(BASELINE, [0, 1]))
    assert [p.reply for p in replies] == [p.reply for p in after]


@pytest.mark.parametrize("padding", [1.0, 3.0])
def test_greedy_replies_are_those_of_transformers(
    family: Family, toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch, padding: float
):
    import torch

    monkeypatch.setitem(answers.PADDING, "cpu", padding)
    llm = open_llm(configured(family, toys, "llm.temperature=1e-5"))
    prompts = [llm.tokenizer.encode(text) for text in ("x = 1", "x = 1\ny", "y = 2", "x = 1")]
    decoder = Decoder(llm.network, ends=llm.ends, longest=12)
    sampling = SeededSampling(range(4), temperature=1e-5, top_k=50, top_p=1)
    for prompt, answer in zip(prompts, decoder.decode(prompts, sampling, None), strict=True):
        ids = torch.tensor([prompt])
        found = llm.network.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=12,
            eos_token_id=llm.ends,
            pad_token_id=llm.tokenizer.pad_token_id,
        )
        assert found[0, len(prompt) :].tolist() == answer


def outcome(delta: str) -> str:
    try:
        apply_delta(CODE, delta)
    except DeltaError as error:
        return error.verdict.value
    return "applied"


def test_training_text_starts_with_the_prompt_and_ends_as_replies_end(
    family: Family, toys: dict[str, Path]
):
    llm = open_llm(configured(family, toys))
    answer = "@@\n-        self.act = nn.ReLU()\n+        self.act = nn.GELU()\n"
    tokens, start = render_example(llm.tokenizer, "Improve this.\nx = 1", answer)
    assert llm.tokenizer.decode(tokens[:start]).endswith(f"{family.answer_starts}")
    assert loading.decoded(llm.tokenizer, tokens[start:-1]) == answer
    assert tokens[-1] == llm.ends[0]
    assert llm.tokenizer.decode(tokens).count("Improve this.") == 1


def test_every_end_token_ends_a_reply(family: Family, toys: dict[str, Path]):
    import torch

    llm = open_llm(configured(family, toys))
    for end in llm.ends:
        with torch.no_grad():
            llm.network.get_output_embeddings().weight.zero_()
            bias = torch.zeros(llm.network.config.vocab_size)
            bias[end] = 50.0
        hook = llm.network.get_output_embeddings().register_forward_hook(
            lambda module, inputs, output, bias=bias: output + bias
        )
        reply = llm.generate(["x"], [0])[0]
        hook.remove()
        assert (reply.text, reply.output_tokens, reply.finished) == ("", 1, True)


def test_published_sampling_defaults_do_not_bend_ours(toys: dict[str, Path], tmp_path: Path):
    family = next(family for family in FAMILIES if family.name == "qwen")
    plain = open_llm(configured(family, toys, *FREE)).generate(["x = 1"] * 2, [0, 1])
    folder = write_toy(family, tmp_path)
    published = folder / "generation_config.json"
    penalties = {"repetition_penalty": 1.5, "do_sample": True, "temperature": 0.7, "top_k": 20}
    published.write_text(json.dumps(json.loads(published.read_text()) | penalties))
    bent = open_llm(configured(family, {"qwen": folder}, *FREE)).generate(["x = 1"] * 2, [0, 1])
    assert [reply.text for reply in bent] == [reply.text for reply in plain]


def test_a_stop_that_is_no_token_is_refused(toys: dict[str, Path]):
    with pytest.raises(LLMError, match=r"llm\.stop names '<\|nothing\|>', which is no token"):
        open_llm(configured(FAMILIES[0], toys, 'llm.stop=["<|nothing|>"]'))


def test_a_tokenizer_that_loses_text_is_refused(tmp_path: Path):
    folder = write_toy(FAMILIES[0], tmp_path)
    written = folder / "tokenizer.json"
    broken = json.loads(written.read_text())
    broken["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": ""}
    written.write_text(json.dumps(broken))
    with pytest.raises(LLMError, match=r"turns 'class Net.* into 'classNet.* must give text back"):
        open_llm(configured(FAMILIES[0], {"deepseek": folder}))


def test_an_llm_without_a_chat_template_is_refused(tmp_path: Path):
    folder = write_toy(FAMILIES[1], tmp_path)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(LLMError, match="has no chat template"):
        open_llm(configured(FAMILIES[1], {"qwen": folder}))


def test_a_template_that_changes_the_prompt_is_refused_at_once(tmp_path: Path):
    folder = write_toy(FAMILIES[1], tmp_path)
    (folder / "chat_template.jinja").write_text("{{ messages | length }}{{ messages[-1] }}")
    llm = open_llm(configured(FAMILIES[1], {"qwen": folder}))
    with pytest.raises(TuningError, match="must render the prompt as a prefix"):
        tuner_of(llm)


def test_4_bits_without_bitsandbytes_name_the_pip_line(
    toys: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    config = configured(FAMILIES[0], toys, "llm.quantization=nf4")
    for opening in (lambda: open_llm(config), lambda: llm_needs(config, tmp_path)):
        with pytest.raises(LLMError, match=r"pip install 'deltanas\[quant\]'"):
            opening()


def test_4_bits_without_a_gpu_are_refused(toys: dict[str, Path], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loading, "find_spec", lambda name: object())
    with pytest.raises(LLMError, match="nf4 needs a GPU, and the device is cpu"):
        open_llm(configured(FAMILIES[0], toys, "llm.quantization=nf4"))


@pytest.mark.gpu
def test_4_bits_generate_and_are_tuned(family: Family, toys: dict[str, Path], tmp_path: Path):
    pytest.importorskip("bitsandbytes")
    in_4_bits = ("llm.quantization=nf4", "llm.dtype=bfloat16", "llm.device=cuda")
    llm = open_llm(configured(family, toys, *in_4_bits))
    packed = llm.network.model.layers[0].mlp.up_proj.weight
    assert packed.numel() == 64 * 128 // 2  # two weights a byte
    lesson = make_lesson(1)
    tuner = tuner_of(llm)
    assert tuner.learn([lesson], [lesson], seed=0, directory=tmp_path / "cycle_00").kept
    assert llm.generate(["x = 1"], [0])[0].output_tokens > 0


def test_any_other_causal_lm_is_taken_by_its_path(toys: dict[str, Path]):
    config = composed("llm=custom", f"llm.model={toys['mistral']}", *SMALL)
    assert llm_needs(config, Path()).startswith("llm=custom needs ")
    assert type(open_llm(config).network).__name__ == "MistralForCausalLM"


def test_the_needs_are_one_line_with_memory_and_disk(toys: dict[str, Path], tmp_path: Path):
    line = llm_needs(configured(FAMILIES[0], toys), tmp_path)
    for part in ("GiB of CPU memory", "weights", "KV cache", "LoRA", "0.0 GB to download"):
        assert part in line
    assert "\n" not in line


def test_too_little_memory_is_refused_with_the_figures(
    toys: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(needs, "free_memory", lambda device: ("GPU", GIB // 2))
    with pytest.raises(ConfigError, match=r"0\.5 GiB of GPU memory are free, 1\.\d are needed"):
        llm_needs(configured(FAMILIES[0], toys), tmp_path)


def test_too_little_disk_is_refused_with_the_figures(
    toys: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(needs, "missing_download", lambda model, weights: 14 * GB)
    monkeypatch.setattr(needs, "free_disk", lambda folder: 3 * GB)
    with pytest.raises(ConfigError, match=r"3\.0 GB are free in .*, the download needs 14\.0 GB"):
        llm_needs(configured(FAMILIES[0], toys), tmp_path)


def test_a_context_beyond_the_positions_is_refused(toys: dict[str, Path], tmp_path: Path):
    with pytest.raises(ConfigError, match=r"llm\.context=8192 is more than the 4096 positions"):
        llm_needs(configured(FAMILIES[0], toys, "llm.context=8192"), tmp_path)
