"""What a search knows: the pools, every score, equal networks, and how like known ones are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from statistics import fmean

from deltanas.records import Attempt, Baseline, Evaluation, Proposal, Recipe, Slot
from deltanas.screen.duplicates import Duplicates, tree_of
from deltanas.screen.novelty import NoveltyIndex
from deltanas.search.judging import IN_JAIL, evaluation_of, proposal_of
from deltanas.search.strength import lower_bound

Key = tuple[str, str]  # dataset, and the baseline or attempt trained on it


@dataclass(kw_only=True, slots=True)
class Memory:
    """What a search has found out so far; nothing here asks a machine.

    Equal networks share a score where they train on the same data set by the same recipe.
    """

    pools: dict[str, list[Baseline]]  # by dataset, in the order in which slots take turns
    novelty: NoveltyIndex | None = None  # None: a network is new where its graph is
    races: bool = False  # a gain on the search's own seed alone is not believed
    scores: dict[Key, Evaluation] = field(default_factory=dict)  # of every network trained here
    fresh: dict[Key, dict[int, float]] = field(default_factory=dict)  # by number of the seed
    archived: set[Key] = field(default_factory=set)  # networks that no search made
    rows: list[Attempt] = field(default_factory=list)  # all so far, in the order they were stored
    parents: dict[str, Baseline] = field(default_factory=dict)  # every baseline so far, by id
    equal: dict[tuple[str, Recipe], Duplicates] = field(
        default_factory=lambda: defaultdict(Duplicates)
    )
    # the first network that trained, by data set, recipe and the graph that it claims to have
    graphs: dict[tuple[str, Recipe, str], str] = field(default_factory=dict)
    replies: dict[Key, list[Proposal]] = field(default_factory=lambda: defaultdict(list))
    _trees: dict[str, set[str]] = field(init=False)  # by dataset
    _unread: dict[str, list[str]] = field(init=False)  # code that is to join them

    def __post_init__(self) -> None:
        self._trees = {dataset: set() for dataset in self.pools}
        self._unread = {name: [each.code for each in pool] for name, pool in self.pools.items()}

    def trees(self, dataset: str) -> Set[str]:
        """Return the fingerprints of all that the run has on a data set.

        That is what was in its pool, and what replies came to, whatever became of it.
        """
        unread, self._unread[dataset] = self._unread[dataset], []
        self._trees[dataset].update(tree for code in unread if (tree := tree_of(code)))
        return self._trees[dataset]

    def proxy(self, dataset: str, name: str) -> float | None:
        """Return the proxy accuracy of a network that was scored; None where it did not train."""
        return self.scores[dataset, name].proxy_accuracy

    def add_baseline(self, dataset: str, baseline: Baseline, found: Evaluation) -> None:
        """Take note of a baseline's score."""
        self.parents[baseline.baseline_id] = baseline
        self.scores[dataset, baseline.baseline_id] = found
        self.archived.add((dataset, baseline.baseline_id))
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
        """Return the name of another network of this graph that trained as this slot would.

        None where there is none, or where the slot's own was the first.
        """
        known = self.graphs.get((slot.dataset, slot.baseline.recipe, graph))
        return known if known != slot.name else None

    def similarity(self, slot: Slot, code: str, graph: str | None) -> float | None:
        """Return a slot's highest similarity to a known network; None where it has no graph."""
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

    def add_row(self, slot: Slot, row: Attempt) -> None:
        """Take note of a row and its score."""
        self.rows.append(row)
        self.replies[slot.dataset, row.parent_id].append(proposal_of(row))
        if row.code:
            self._unread[slot.dataset].append(row.code)
        if row.verdict in IN_JAIL and not row.reused_from:
            self.scores.setdefault((slot.dataset, row.attempt_id), evaluation_of(row))
            if row.proxy_accuracy is not None:
                recipe = slot.baseline.recipe
                self.equal[slot.dataset, recipe].add(row.code, row.attempt_id)
                self._add_graph(slot.dataset, recipe, row.graph, row.attempt_id)

    def join(self, slot: Slot, row: Attempt, joins: Baseline | None) -> None:
        """Take note that a row was admitted, and of the baseline that it becomes, if any."""
        if self.novelty is not None:
            self.novelty.add(row.code, row.attempt_id)
        if joins is not None:
            self.parents[joins.baseline_id] = joins
            self.pools[slot.dataset].append(joins)

    def add_fresh(self, dataset: str, name: str, accuracies: Mapping[int, float]) -> None:
        """Take note of validation accuracies under fresh seeds, by number of the seed."""
        self.fresh[dataset, name] = dict(accuracies)

    def gains(self, dataset: str, name: str, parent: str) -> list[float]:
        """Return a network's accuracy less its parent's under every fresh seed of both."""
        own, other = (self.fresh.get((dataset, one), {}) for one in (name, parent))
        return [own[number] - other[number] for number in sorted(own.keys() & other.keys())]

    def learned(self, row: Attempt) -> Attempt:
        """Return a row with the gain that is believed of it.

        That is the mean under fresh seeds, where its network was raced. Where children are raced
        and this one was not, it is None for what looks better on one seed.
        """
        gains = self.gains(row.dataset, row.reused_from or row.attempt_id, row.parent_id)
        if gains:
            return replace(row, gain=fmean(gains))
        doubtful = self.races and row.gain is not None and row.gain > 0
        return replace(row, gain=None) if doubtful else row

    def strength(self, dataset: str, name: str) -> float | None:
        """Return a lower bound of a network's validation accuracy; None where it has no score.

        What the search's own seed says of a network does not count where fresh seeds say more and
        the network was chosen for it.
        """
        key = dataset, name
        proxy = self.scores[key].proxy_accuracy if key in self.scores else None
        values = list(self.fresh.get(key, {}).values())
        if proxy is not None and (not values or key in self.archived):
            values.append(proxy)
        return lower_bound(values) if values else None

    def _add_graph(self, dataset: str, recipe: Recipe, graph: str | None, name: str) -> None:
        if graph is not None:
            self.graphs.setdefault((dataset, recipe, graph), name)
