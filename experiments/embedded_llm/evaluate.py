"""Measure the embedded LLM on held-out baselines: valid@1, lengths, distinctness, locked and free.

Half of the baselines are LEMUR networks that the corpus never held, half are random-edit
descendants of built-in families that were kept out of it. A reply is valid when it applies, passes
the policy, builds and maps images to logits of the right shape.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from corpus import HELD_OUT_FAMILIES, is_held_out
from hydra import compose, initialize_config_dir
from rich.progress import track

from deltanas.archive.builtin_archive import BuiltinArchive
from deltanas.archive.lemur import LemurArchive
from deltanas.archive.sampling import sample_baselines
from deltanas.cli.environment import ensure
from deltanas.config.compose import from_hydra, register
from deltanas.evaluate.executor import LocalExecutor
from deltanas.evaluate.images.image_data import blank_data
from deltanas.llm.local import TransformersLLM
from deltanas.propose.proposer import LLMProposer
from deltanas.propose.random_edit import random_edit
from deltanas.records import Baseline, Job, Proposal, Request, Slot, Verdict, derive_seed
from deltanas.report.metrics import wilson_interval
from deltanas.screen.delta import DeltaError, apply_delta, extract_delta
from deltanas.screen.policy import PolicyError, check_policy

CONF = Path(__file__).parents[2] / "conf"
DATASET = "cifar10"
DATA = blank_data(image_size=32, channels=3, num_classes=10)  # the shapes of CIFAR-10


def check(jobs: Sequence[Job], workers: int) -> dict[str, Verdict]:
    """Return the verdict of build and shape check for every job."""
    with LocalExecutor(
        DATA, workers=workers, max_parameters=2_000_000_000, max_macs=2_000_000_000_000
    ) as executor:
        return {e.job_id: e.verdict for e in track(executor.map(jobs), "check", len(jobs))}


def held_out(
    lemur: Path | None, count: int, draw: str, proposer: LLMProposer, workers: int
) -> list[Baseline]:
    """Return `count` baselines that fit and build, half from LEMUR, half built-in descendants.

    Equal draws give equal baselines. The LLM and its locks were developed on other draws.
    """
    rng = random.Random(f"held-out/{draw}")
    networks = [
        baseline
        for baseline in LemurArchive(lemur).baselines(dataset=DATASET, max_image_size=256)
        if is_held_out(baseline.baseline_id)
    ]
    drawn = sample_baselines(
        networks, min(count, len(networks)), rng, fits=lambda b: proposer.fits(b, DATASET)
    )
    families = [
        baseline
        for baseline in BuiltinArchive().baselines(dataset=DATASET)
        if baseline.family in HELD_OUT_FAMILIES
    ]
    descendants = []
    for index in range(count):
        parent = rng.choice(families)
        code = parent.code
        for _ in range(rng.randint(1, 4)):
            code = random_edit(code, rng)
        child = Baseline(
            baseline_id=f"{parent.baseline_id}-{index}",
            family=parent.family,
            code=code,
            recipe=parent.recipe,
        )
        if proposer.fits(child, DATASET):
            descendants.append(child)
    jobs = [
        Job(job_id=b.baseline_id, code=b.code, recipe=b.recipe, epochs=0)
        for b in [*drawn, *descendants]
    ]
    sound = check(jobs, workers)
    halves = [
        [b for b in group if sound[b.baseline_id] is Verdict.TRAINED][: count // 2]
        for group in (drawn, descendants)
    ]
    return [*halves[0], *halves[1]]


def screened(baseline: Baseline, proposal: Proposal) -> tuple[Verdict | None, str, str]:
    """Return the verdict of the gates before the jail (None if passed), delta and network."""
    if proposal.truncated:
        return Verdict.TRUNCATED, "", ""
    delta = ""
    try:
        delta = extract_delta(proposal.reply)
        code = apply_delta(baseline.code, delta)
        check_policy(baseline.code, code)
    except (DeltaError, PolicyError) as error:
        return error.verdict, delta, ""
    return None, delta, code


def measure(
    proposer: LLMProposer, baselines: Sequence[Baseline], samples: int, workers: int
) -> dict[str, object]:
    """Return the figures of `samples` replies to each baseline; valid@1 looks at the first."""
    asked = [(b, s) for s in range(samples) for b in baselines]
    seeds = [derive_seed(7, baseline.baseline_id, sample) for baseline, sample in asked]
    proposals: list[Proposal] = []
    for start in track(range(0, len(asked), 48), "generate"):
        part = slice(start, start + 48)
        proposals += proposer.propose(
            [
                Request(slot=Slot(cycle=0, number=n, dataset=DATASET, baseline=b), seed=seed)
                for n, ((b, _), seed) in enumerate(zip(asked[part], seeds[part], strict=True))
            ]
        )
    verdicts: dict[tuple[str, int], Verdict] = {}
    deltas: dict[tuple[str, int], str] = {}
    jobs = []
    for (baseline, sample), proposal in zip(asked, proposals, strict=True):
        key = (baseline.baseline_id, sample)
        verdict, delta, code = screened(baseline, proposal)
        deltas[key] = delta
        if verdict is None:
            name = f"{sample}/{baseline.baseline_id}"
            jobs.append(Job(job_id=name, code=code, recipe=baseline.recipe, epochs=0))
        else:
            verdicts[key] = verdict
    for name, verdict in check(jobs, workers).items():
        sample, baseline_id = name.split("/", 1)
        verdicts[(baseline_id, int(sample))] = verdict
    first = [verdicts[(b.baseline_id, 0)] for b in baselines]
    valid = sum(verdict is Verdict.TRAINED for verdict in first)
    changed = [
        sum(row[:1] in "+-" and row[:3] not in ("+++", "---") for row in delta.splitlines())
        for delta in deltas.values()
        if delta
    ]
    distinct = [
        len({deltas[(b.baseline_id, s)] for s in range(samples)}) / samples for b in baselines
    ]
    half = len(baselines) // 2
    low, high = wilson_interval(valid, len(first))
    return {
        "baselines": len(baselines),
        "valid_at_1": valid / len(first),
        "valid_at_1_low": low,
        "valid_at_1_high": high,
        "valid_at_1_lemur": sum(v is Verdict.TRAINED for v in first[:half]) / half,
        "valid_at_1_builtin": sum(v is Verdict.TRAINED for v in first[half:])
        / (len(first) - half),
        "valid_all_samples": statistics.mean(v is Verdict.TRAINED for v in verdicts.values()),
        "median_changed_lines": statistics.median(changed) if changed else None,
        "distinct_share": statistics.mean(distinct),
        "mean_output_tokens": statistics.mean(p.output_tokens for p in proposals),
        "verdicts_at_1": dict(Counter(v.value for v in first).most_common()),
    }


def main() -> None:
    """Print the figures as JSON and write them beside the command that made them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, nargs="?", help="JSON file to write")
    parser.add_argument("--llm", default="embedded", help="folder of another trained LLM")
    parser.add_argument("--lemur", type=Path, help="imported archive; default: the user's cache")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--draw", default="final", help="which baselines; for another figure")
    parser.add_argument("--temperature", type=float, help="default: what conf/llm/tiny.yaml ships")
    parser.add_argument("--free", action="store_true", help="decode freely instead of locked")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    ensure()
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = from_hydra(compose("config")).llm
    llm = TransformersLLM(
        options.llm,
        dtype=config.dtype,
        device=config.device,
        context=config.context,
        max_new_tokens=config.max_new_tokens,
        temperature=options.temperature or config.temperature,
        top_k=config.top_k,
        top_p=config.top_p,
        batch=48,
    )
    proposer = LLMProposer(
        llm,
        template=config.prompt,
        locked=not options.free,
        lock_names=config.lock_names,
    )
    baselines = held_out(options.lemur, options.count, options.draw, proposer, options.workers)
    figures = {
        "temperature": llm.temperature,
        "draw": options.draw,
        "decoding": "free" if options.free else "locked",
        "samples": options.samples,
        **measure(proposer, baselines, options.samples, options.workers),
    }
    text = json.dumps(figures, indent=2)
    print(text)  # noqa: T201
    if options.output:
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
