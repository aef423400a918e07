"""`python -m deltanas`: reads the configuration, opens the rooms, runs one search."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deltanas.config import Config, ConfigError, Decoding, ProposerKind, from_hydra, register

if TYPE_CHECKING:
    from rich.console import Console

    from deltanas.archive.base import Archive
    from deltanas.propose.proposer import Proposer
    from deltanas.record.store import RunStore
    from deltanas.record.tracker import Tracker
    from deltanas.search import Search
    from deltanas.tune.lora import LoraTuner

# a checkout has conf/ beside the package, a wheel has it inside
CONF = next(
    path
    for path in (Path(__file__).parent / "conf", Path(__file__).parents[1] / "conf")
    if path.is_dir()
)
PACKAGES = ("deltanas", "torch", "lightning", "transformers", "peft", "llguidance", "wandb")
INTERRUPTED = 130  # exit code of a run ended by Ctrl-C
REFUSED = 2  # exit code of a run whose input cannot be used

register()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def _run(node: DictConfig) -> None:
    config = from_hydra(node)

    from deltanas.archive.base import ArchiveError
    from deltanas.evaluate import DatasetError, JailError, ZygoteError
    from deltanas.record.store import RunStoreError
    from deltanas.search import SearchError

    try:
        _search(config, Path(HydraConfig.get().runtime.output_dir))
    except (
        ArchiveError,
        DatasetError,
        JailError,
        ZygoteError,
        RunStoreError,
        SearchError,
    ) as error:
        raise ConfigError(str(error)) from error


def _search(config: Config, directory: Path) -> None:
    from rich.console import Console

    console = Console()
    interrupted = False
    with _opened(config, directory, console) as search:
        began = time.perf_counter()
        try:
            with search.progress:
                search.run()
        except KeyboardInterrupt:
            interrupted = True
            search.executor.close()
            console.print("interrupted: writing the summary of what is there")
        _conclude(search, time.perf_counter() - began, console)
    console.print(str(directory), soft_wrap=True, highlight=False)
    if interrupted:
        sys.exit(INTERRUPTED)


@contextmanager
def _opened(config: Config, directory: Path, console: Console) -> Iterator[Search]:
    """Open every room for one search, and close them all whatever happens."""
    from deltanas.evaluate.data import load_data
    from deltanas.evaluate.executor import LocalExecutor
    from deltanas.record.console import CycleProgress
    from deltanas.record.store import RunStore
    from deltanas.screen.novelty import NoveltyIndex
    from deltanas.search import Search

    limits = config.protocol
    with ExitStack() as stack:
        data = load_data(config.dataset.name, seed=config.seed)
        archive = _archive(config)
        pool = list(
            archive.baselines(
                dataset=config.dataset.name,
                max_image_size=config.archive.max_image_size,
                max_lines=config.archive.max_lines,
            )
        )
        store = stack.enter_context(RunStore(directory / "run.sqlite"))
        executor = stack.enter_context(
            LocalExecutor(
                data,
                workers=config.executor.workers,
                threads_per_worker=config.executor.threads,
                jail=config.executor.jail,
                timeout_s=limits.timeout_s,
                memory_gb=limits.memory_gb,
                max_parameters=limits.max_parameters,
                max_macs=limits.max_macs,
            )
        )
        with console.status(f"loading {config.llm.name}"):
            proposer, tuner = _proposer(config)
        tracker = _tracker(config, directory)
        plain = OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)
        _describe(store, directory.name, plain)
        store.set_meta("jail", asdict(executor.jailing))
        console.print(
            f"deltanas: {config.protocol.cycles} cycles x {limits.candidates} candidates,"
            f" llm={config.llm.name} dataset={config.dataset.name} archive={archive.name}"
            f" ({len(pool)} baselines) ablation={config.ablation}",
            highlight=False,
            soft_wrap=True,
        )
        console.print(str(executor.jailing), highlight=False, soft_wrap=True)
        tracker.start(directory.name, plain)  # type: ignore[arg-type]
        yield Search(
            config=config,
            directory=directory,
            pool=pool,
            data=data,
            proposer=proposer,
            tuner=tuner,
            executor=executor,
            store=store,
            tracker=tracker,
            progress=CycleProgress(console, limits.cycles),
            novelty=NoveltyIndex(
                permutations=config.novelty.permutations,
                shingle=config.novelty.shingle,
                threshold=config.novelty.threshold,
            ),
        )


def _archive(config: Config) -> Archive:
    from deltanas.archive.builtin_archive import BuiltinArchive
    from deltanas.archive.lemur import LemurArchive

    if config.archive.name == "lemur":
        return LemurArchive(Path(config.archive.path) if config.archive.path else None)
    return BuiltinArchive()


def _proposer(config: Config) -> tuple[Proposer, LoraTuner | None]:
    from deltanas.propose.llm import TransformersLLM
    from deltanas.propose.proposer import LLMProposer, RandomEditProposer
    from deltanas.tune.lora import LoraSettings, LoraTuner

    if config.proposer is ProposerKind.random_edit:
        return RandomEditProposer(), None
    llm = TransformersLLM(
        config.llm.model,
        dtype=config.llm.dtype,
        device=config.llm.device,
        context=config.llm.context,
        max_new_tokens=config.llm.max_new_tokens,
        temperature=config.llm.temperature,
        top_k=config.llm.top_k,
        top_p=config.llm.top_p,
        batch=config.llm.batch,
    )
    proposer = LLMProposer(
        llm,
        template=config.llm.prompt,
        dataset=config.dataset.name,
        locked=config.decoding is Decoding.locked,
        lock_names=config.llm.lock_names,
    )
    if not config.lora.enabled:
        return proposer, None
    lora = config.lora
    settings = LoraSettings(
        r=lora.r,
        alpha=lora.alpha,
        dropout=lora.dropout,
        targets=tuple(lora.targets),
        lr=lora.lr,
        weight_decay=lora.weight_decay,
        epochs=lora.epochs,
        batch=lora.batch,
        accumulate=lora.accumulate,
    )
    return proposer, LoraTuner(
        llm.network, llm.tokenizer, settings, max_tokens=config.llm.context, seed=config.seed
    )


def _tracker(config: Config, directory: Path) -> Tracker:
    from deltanas.record.tracker import NullTracker, WandbTracker

    tracker = config.tracker
    if tracker.name == "none":
        return NullTracker()
    return WandbTracker(
        project=tracker.project,
        directory=directory,
        entity=tracker.entity,
        group=tracker.group,
        mode="online" if tracker.mode == "online" else "offline",
        tags=(config.llm.name, config.dataset.name, config.ablation),
    )


def _describe(store: RunStore, run_id: str, config: Any) -> None:
    store.set_meta("run_id", run_id)
    store.set_meta("config", config)
    store.set_meta("command", sys.argv[1:])
    store.set_meta(
        "versions",
        {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    )


def _conclude(search: Search, wall_seconds: float, console: Console) -> None:
    """Write summary, report and tracker from what the store holds, and print the table."""
    from deltanas.record.console import print_summary
    from deltanas.record.metrics import run_summary
    from deltanas.record.report import write_report
    from deltanas.record.summary import write_summary
    from deltanas.search import cycles_of

    config, store = search.config, search.store
    cycles = cycles_of(store)
    summary = run_summary(
        run_id=search.directory.name,
        llm=config.llm.name if config.proposer is ProposerKind.llm else config.proposer.value,
        dataset=config.dataset.name,
        archive=config.archive.name,
        protocol=config.protocol.name,
        ablation=config.ablation,
        seed=config.seed,
        attempts=store.attempts(),
        cycles=cycles,
        finalists=store.finalists(),
        wall_seconds=wall_seconds,
    )
    write_summary(search.directory / "summary.json", summary)
    write_report(store, summary, search.directory / "report.html")
    search.tracker.log_candidates(store.attempts())
    search.tracker.finish(summary)
    print_summary(summary, cycles, console)


def main() -> None:
    """Run the program; input that cannot be used ends in one message without a traceback."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises instead of printing its own traceback
    # read when torch loads: threads that spin while another process has the core cost up to 88 x
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        _run()
    except (ConfigError, HydraException, OmegaConfBaseException) as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _refuse(message: str) -> None:
    sys.stderr.write(f"deltanas: {message}\n")
    sys.exit(REFUSED)


if __name__ == "__main__":
    main()
