from __future__ import annotations

import json
import logging
import signal
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from deltanas.tune.lora import LoraTuner
from deltanas.tune.objectives.sft import Sft
from deltanas.tune.rendering import TuningError, render_example
from deltanas.tune.scoring import held_out_loss
from tests.tune.pairs import PAPER, make_lesson

LESSONS = [make_lesson(number) for number in range(3)]


def make_tuner(
    llm: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    *,
    max_tokens: int = 256,
    gradient_checkpointing: bool = False,
    **changes: Any,
) -> LoraTuner:
    fields = {"r": 4, "alpha": 8, "lr": 0.01, "epochs": 4, "accumulate": 2}
    return LoraTuner(
        llm,
        tokenizer,
        replace(PAPER, **(fields | changes)),
        Sft(),
        max_tokens=max_tokens,
        seed=0,
        gradient_checkpointing=gradient_checkpointing,
    )


def weights_of(llm: LlamaForCausalLM, *, trainable: bool) -> dict[str, Tensor]:
    return {
        name.replace(".base_layer", ""): weight.detach().clone()
        for name, weight in llm.named_parameters()
        if weight.requires_grad is trainable
    }


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@torch.no_grad()
def logits_of(llm: LlamaForCausalLM) -> Tensor:
    return llm(torch.arange(4, 60).unsqueeze(0)).logits


def test_the_loss_counts_answer_tokens_alike(
    llm: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    rows = [
        render_example(tokenizer, pair.prompt, pair.answers[0].text)
        for pair in (make_lesson(1), make_lesson(22, prompt="longer\nx = 22\n"))
    ]
    losses = []
    for tokens, start in rows:  # one at a time, from all logits
        logits = llm(torch.tensor([tokens])).logits[0, start - 1 : -1]
        losses.append(F.cross_entropy(logits, torch.tensor(tokens[start:]), reduction="sum"))
    mean = sum(losses).item() / sum(len(tokens) - start for tokens, start in rows)
    for batch in (1, 2):
        assert held_out_loss(llm, rows, batch=batch, max_tokens=50) == pytest.approx(mean)


def test_a_step_is_one_step_however_many_passes_it_takes(
    llm: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    answers = ["a", "b" * 20, "c" * 5]
    pairs = [make_lesson(number, answer=answer) for number, answer in enumerate(answers)]
    start = {name: weight.clone() for name, weight in llm.state_dict().items()}
    ends = []
    for batch, accumulate in ((3, 1), (1, 3)):
        copy = LlamaForCausalLM(llm.config).eval()
        copy.load_state_dict(start)
        tuner = make_tuner(
            copy, tokenizer, max_tokens=60, batch=batch, accumulate=accumulate, dropout=0.0
        )
        assert tuner.learn(pairs, pairs, seed=0, directory=tmp_path / "cycle_00").steps == 4
        ends.append(weights_of(copy, trainable=True))
    for name, weight in ends[0].items():
        torch.testing.assert_close(ends[1][name], weight)


def test_tuning_learns_and_leaves_the_llm_ready(
    llm: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    weights, before = weights_of(llm, trainable=True), logits_of(llm)
    tuner = make_tuner(llm, tokenizer)
    assert torch.equal(logits_of(llm), before)  # a new adapter does nothing
    random_state = torch.get_rng_state()
    on_interrupt = signal.getsignal(signal.SIGINT)
    results = [
        tuner.learn(LESSONS[:1], LESSONS[:1], seed=cycle, directory=tmp_path / f"cycle_0{cycle}")
        for cycle in range(2)
    ]
    assert all(result.kept for result in results)
    assert results[0].loss_after < results[0].loss_before - 0.1
    assert results[1].loss_before == results[0].loss_after  # the adapter goes on
    assert results[1].loss_after < results[1].loss_before
    tokens, _ = render_example(tokenizer, LESSONS[0].prompt, LESSONS[0].answers[0].text)
    assert [results[0].steps, results[0].tokens] == [4, 4 * len(tokens)]
    assert equal(weights_of(llm, trainable=False), weights)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert signal.getsignal(signal.SIGINT) == on_interrupt
    assert not llm.training
    assert llm.config.use_cache
    asked = tokenizer("ask", return_tensors="pt")["input_ids"]
    reply = llm.generate(asked, max_new_tokens=3, do_sample=False)
    assert reply.shape[1] <= asked.shape[1] + 3
    assert not torch.equal(logits_of(llm), before)


def test_the_same_seed_gives_the_same_adapter(
    llm: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    tuner = make_tuner(llm, tokenizer, lr=1e-3, epochs=2, accumulate=1, dropout=0.2)
    start = weights_of(llm, trainable=True)
    ends = []
    for number, seed in enumerate((5, 5, 6)):
        torch.manual_seed(number)  # the caller's own state must not matter
        tuner.learn(LESSONS, LESSONS, seed=seed, directory=tmp_path / f"{number}")
        ends.append(weights_of(llm, trainable=True))
        llm.load_state_dict(start, strict=False)
    assert equal(ends[0], ends[1])
    assert not equal(ends[0], ends[2])


@pytest.mark.parametrize(("lr", "diverges"), [(0.02, False), (1e30, True)])
def test_a_worse_adapter_is_rolled_back(
    llm: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    lr: float,
    diverges: bool,
) -> None:
    tuner = make_tuner(llm, tokenizer, lr=lr)
    weights, logits = weights_of(llm, trainable=True), logits_of(llm)
    train, held_out = make_lesson(0, answer="a" * 30), make_lesson(1, answer="z" * 30)
    result = tuner.learn([train], [held_out], seed=0, directory=tmp_path / "cycle_00")
    assert not result.kept
    if diverges:
        assert result.loss_after is None
    else:
        assert result.loss_after > result.loss_before
    assert equal(weights_of(llm, trainable=True), weights)
    assert torch.equal(logits_of(llm), logits)
    assert not llm.training
    tuner.load(tmp_path / "cycle_00")  # what was saved is the restored adapter
    assert equal(weights_of(llm, trainable=True), weights)


def test_a_saved_adapter_loads_again(
    llm: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    base = {name: weight.clone() for name, weight in llm.state_dict().items()}
    directory = tmp_path / "adapters" / "cycle_00"
    make_tuner(llm, tokenizer).learn(LESSONS, LESSONS, seed=0, directory=directory)
    tuned = logits_of(llm)
    assert {path.name for path in directory.iterdir()} == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert [path.name for path in directory.parent.iterdir()] == ["cycle_00"]
    assert len({path.stat().st_mode for path in directory.iterdir()}) == 1  # the umask's

    def fresh() -> LlamaForCausalLM:
        copy = LlamaForCausalLM(llm.config).eval()
        copy.load_state_dict(base)
        return copy

    resumed = make_tuner(fresh(), tokenizer)
    resumed.load(directory)
    assert torch.equal(logits_of(resumed.llm), tuned)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT 0.21 with transformers 5.23
        others = PeftModel.from_pretrained(fresh(), str(directory))
    assert torch.equal(logits_of(others), tuned)
    with pytest.raises(ValueError, match=r"has rank, alpha, targets \(4, 8"):
        make_tuner(fresh(), tokenizer, alpha=16).load(directory)


def test_saving_replaces_an_older_adapter_and_leftovers(
    llm: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    for name in ("cycle_00", ".cycle_00.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "leftover").write_text("from a killed run")
    tuner = make_tuner(llm, tokenizer, epochs=1)
    tuner.learn(LESSONS, LESSONS, seed=0, directory=tmp_path / "cycle_00")
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "cycle_00",
    ]
    config = json.loads((tmp_path / "cycle_00" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (4, 8)


def test_an_interrupt_restores_the_adapter_and_stays_an_interrupt(
    llm: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tuner = make_tuner(llm, tokenizer, accumulate=1)
    weights = weights_of(llm, trainable=True)
    on_interrupt = signal.getsignal(signal.SIGINT)
    forward, calls = llm.forward, []

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        calls.append(llm.training)
        if calls.count(True) == 3:
            raise KeyboardInterrupt
        return forward(*args, **kwargs)

    monkeypatch.setattr(llm, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tuner.learn(LESSONS, LESSONS, seed=0, directory=tmp_path / "cycle_00")
    assert signal.getsignal(signal.SIGINT) == on_interrupt
    assert equal(weights_of(llm, trainable=True), weights)
    assert not llm.training
    assert list(tmp_path.iterdir()) == []


def test_checkpointing_changes_memory_only(
    llm: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    ends = []
    for checkpointing in (False, True):
        copy = LlamaForCausalLM(llm.config).eval()
        copy.load_state_dict(llm.state_dict())
        tuner = make_tuner(copy, tokenizer, gradient_checkpointing=checkpointing)
        tuner.learn(LESSONS, LESSONS, seed=0, directory=tmp_path / "cycle_00")
        ends.append(weights_of(copy, trainable=True))
    assert ends[0].keys() == ends[1].keys()
    for name, weight in ends[0].items():
        torch.testing.assert_close(ends[1][name], weight)
    assert not copy.is_activation_checkpointing
    assert not copy.get_input_embeddings()(torch.tensor([5])).requires_grad


def test_a_half_precision_llm_keeps_its_precision(
    llm: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    tuner = make_tuner(llm.to(torch.bfloat16), tokenizer, batch=2)
    result = tuner.learn(LESSONS, LESSONS, seed=0, directory=tmp_path / "cycle_00")
    assert result.kept
    assert result.loss_after < result.loss_before
    assert {weight.dtype for weight in weights_of(llm, trainable=True).values()} == {torch.float32}
    assert llm.dtype == torch.bfloat16


def test_tuning_says_nothing(
    llm: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    level = logging.getLogger("lightning.pytorch").level
    tuner = make_tuner(llm, tokenizer, epochs=1)
    tuner.learn(LESSONS, LESSONS, seed=0, directory=tmp_path / "cycle_00")
    assert caplog.messages == []
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("lightning.pytorch").level == level


def test_pairs_on_both_sides_are_needed(
    llm: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    tuner = make_tuner(llm, tokenizer)
    with pytest.raises(ValueError, match="0 lessons to train on and 1 held out"):
        tuner.learn([], LESSONS[:1], seed=0, directory=tmp_path)
    with pytest.raises(ValueError, match="1 lessons to train on and 0 held out"):
        tuner.learn(LESSONS[:1], [], seed=0, directory=tmp_path)


def test_a_pair_over_the_context_is_refused(
    llm: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    tokens, _ = render_example(tokenizer, LESSONS[0].prompt, LESSONS[0].answers[0].text)
    tuner = make_tuner(llm, tokenizer, max_tokens=len(tokens))
    long = make_lesson(7, prompt=LESSONS[0].prompt + "#")
    assert [tuner.fits(pair) for pair in (LESSONS[0], long)] == [True, False]
    with pytest.raises(ValueError, match=f"'p7' has {len(tokens) + 1} tokens; at most"):
        tuner.learn([long], LESSONS[:1], seed=0, directory=tmp_path)


def test_a_target_that_the_llm_lacks_is_refused(
    llm: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(TuningError, match=r"targets \['c_attn'\] name no layer of LlamaFor"):
        make_tuner(llm, tokenizer, targets=("q_proj", "c_attn"))


def test_a_missing_adapter_is_named(
    llm: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match="holds no adapter_model.safetensors"):
        make_tuner(llm, tokenizer).load(tmp_path)


def test_the_defaults_are_the_papers() -> None:
    paper = replace(
        PAPER,
    )
    assert (paper.r, paper.alpha, paper.dropout) == (32, 32, 0.05)
    assert (paper.lr, paper.weight_decay, paper.epochs) == (1e-5, 0.01, 3)
    assert (paper.batch, paper.accumulate) == (1, 8)
