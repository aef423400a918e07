"""What a search knows: the pools, every score, equal networks, and how like known ones are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from deltanas.records import Attempt, Baseline, Evaluation, Recipe, Slot
from deltanas.screen.duplicates import Duplicates
from deltanas.screen.novelty import NoveltyIndex
from deltanas.search.judging import IN_JAIL, evaluation_of

Key = tuple[str, str]  # dataset, and the baseline or attempt trained on it


@dataclass(kw_only=True, slots=True)
class Memory:
    """What a search has found out so far; nothing here asks a machine.

    Equal networks share a score where they train on the same data set by the same recipe.
    """

    pools: dict[str, list[Baseline]]  # by dataset, in the order in which slots take turns
    novelty: NoveltyIndex | None = None  # None: a network is new where its graph is
    scores: dict[Key, Evaluation] = field(default_factory=dict)  # of every network trained here
    equal: dict[tuple[str, Recipe], Duplicates] = field(
        default_factory=lambda: defaultdict(Duplicates)
    )
    # the first network that trained, by data set, recipe and the graph that it claims to have
    graphs: dict[tuple[str, Recipe, str], str] = field(default_factory=dict)

    def proxy(self, dataset: str, name: str) -> float | None:
        """Return the proxy accuracy of a network that was scored; None where it did not train."""
        return self.scores[dataset, name].proxy_accuracy

    def add_baseline(self, dataset: str, baseline: Baseline, found: Evaluation) -> None:
        """Take note of a baseline's score."""
        self.scores[dataset, baseline.baseline_id] = found
        if found.proxy_accuracy is not None:
            self.equal[dataset, baseline.recipe].add(baseline.code, baseline.baseline_id)
            if self.novelty is not None:
                self.novelty.add(baseline.code, baseline.baseline_id)
            self._add_graph(dataset, baseline.recipe, found.graph, baseline.baseline_id)

    def drop(self, dataset: str, names: Iterable[str]) -> None:
        """Take baselines out of a pool."""
        gone = set(names)
        pool = self.pools[dataset]
        self.pools[dataset] = [one for one in pool if one.baseline_id not in gone]

    def find_equal(self, slot: Slot, code: str) -> str | None:
        """Return the name of an equal network that trained as this slot would, or None.

        Raises SyntaxError when the code does not parse.
        """
        return self.equal[slot.dataset, slot.baseline.recipe].find(code)

    def find_graph(self, slot: Slot, graph: str) -> str | None:
        """Return the name of a network of this graph that trained as this slot would, or None."""
        return self.graphs.get((slot.dataset, slot.baseline.recipe, graph))

    def similarity(self, slot: Slot, code: str, graph: str | None) -> float | None:
        """Return the highest similarity to a known network; None where there was no graph."""
        if self.novelty is not None:
            return self.novelty.similarity(code)[0]
        return None if graph is None else float(self.find_graph(slot, graph) is not None)

    def is_novel(self, similarity: float | None) -> bool:
        """Return whether a network of this highest similarity is new; what is unknown is not."""
        if similarity is None:
            return False
        return similarity < 1.0 if self.novelty is None else self.novelty.is_novel(similarity)

    def add_score(self, dataset: str, found: Evaluation) -> None:
        """Take note of what the jail found out about a candidate."""
        self.scores[dataset, found.job_id] = found

    def add_row(self, slot: Slot, row: Attempt, joins: Baseline | None) -> None:
        """Take note of a row, its score, and of the baseline that it becomes, if any."""
        if row.verdict in IN_JAIL and not row.reused_from:
            self.scores.setdefault((slot.dataset, row.attempt_id), evaluation_of(row))
            if row.proxy_accuracy is not None:
                recipe = slot.baseline.recipe
                self.equal[slot.dataset, recipe].add(row.code, row.attempt_id)
                self._add_graph(slot.dataset, recipe, row.graph, row.attempt_id)
        if row.admitted and self.novelty is not None:
            self.novelty.add(row.code, row.attempt_id)
        if joins is not None:
            self.pools[slot.dataset].append(joins)

    def _add_graph(self, dataset: str, recipe: Recipe, graph: str | None, name: str) -> None:
        if graph is not None:
            self.graphs.setdefault((dataset, recipe, graph), name)
