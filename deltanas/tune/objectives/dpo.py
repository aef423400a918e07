"""Direct preference optimization (Rafailov et al., arXiv 2305.18290): better against worse."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from deltanas.tune.objectives.base import Scores, Unit
from deltanas.tune.tuner import Lesson


class Dpo:
    """The negative log-sigmoid of how much more than the reference the policy prefers the better.

    Equation 7 of the paper, averaged over pairs.
    """

    compares = True
    clips = False
    drifts = False

    def __init__(self, *, beta: float, margin: float) -> None:
        """`beta` (> 0) ties to the reference; rewards of a pair differ by `margin` or more."""
        self.beta, self.margin = beta, margin

    def units(self, lessons: Sequence[Lesson]) -> list[Unit]:
        """Return pairs: of a lesson's answers the best and the worst, then those next to them.

        The better half meets the worse half, as in EvoTune (arXiv 2504.05108); no answer is in
        two pairs.
        """
        units = []
        for lesson in lessons:
            ranked = sorted(lesson.answers, key=lambda answer: answer.reward, reverse=True)
            half = len(ranked) // 2
            for better, worse in zip(ranked[:half], reversed(ranked), strict=False):
                if better.reward > worse.reward and better.reward - worse.reward >= self.margin:
                    units.append(Unit(lesson.prompt, (better, worse), (1.0, -1.0)))
        return units

    def loss(self, scores: Scores) -> Tensor:
        """Return the sum over pairs, each of which stands better first."""
        ratios = scores.of_answers(scores.policy - scores.reference).view(-1, 2)
        return -F.logsigmoid(self.beta * (ratios[:, 0] - ratios[:, 1])).sum()

    def size(self, answers: int, tokens: int) -> int:
        """Return the pairs."""
        return answers // 2
