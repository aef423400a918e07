"""The key of every metric in W&B: tracker, dashboard, report and console read them here."""

from __future__ import annotations

from collections.abc import Mapping

CYCLE = "cycle"  # the x axis of everything below

VALID_RATE = "cycle/valid_rate"
USEFUL_RATE = "cycle/useful_rate"
DISTINCT_RATE = "cycle/distinct_rate"
MEAN_FIRST_EPOCH_ACCURACY = "cycle/mean_first_epoch_accuracy"
BEST_FIRST_EPOCH_ACCURACY = "cycle/best_first_epoch_accuracy"
MEAN_GAIN = "cycle/mean_gain"
DELTA_LINES = "cycle/delta_lines"
DELTA_TOKENS = "cycle/delta_tokens"
ADMITTED = "cycle/admitted"
INFRASTRUCTURE_FAILURES = "cycle/infrastructure_failures"
SECONDS_BASELINES = "cycle/seconds_baselines"
SECONDS_GENERATE = "cycle/seconds_generate"
SECONDS_SCREEN = "cycle/seconds_screen"
SECONDS_EVALUATE = "cycle/seconds_evaluate"
SECONDS_RACE = "cycle/seconds_race"
SECONDS_TUNE = "cycle/seconds_tune"
SECONDS_RECORD = "cycle/seconds_record"
TUNE_LOSS_BEFORE = "tune/loss_before"
TUNE_LOSS_AFTER = "tune/loss_after"
CONFIRMED_RATE = "confirm/improved_rate"
CONFIRMED_BEST = "confirm/best_accuracy"
CONFIRMED_GAIN = "confirm/best_gain"
TOP10_ERROR = "confirm/top10_error"
TOP10_ERROR_BASELINES = "confirm/top10_error_baselines"
SPEARMAN_RHO = "study/spearman_rho"
SPEARMAN_LOW = "study/spearman_low"
SPEARMAN_HIGH = "study/spearman_high"
SPEARMAN_N = "study/spearman_n"

ATTEMPT = "attempt/number"  # from 1 on, the x axis of the next ones
ATTEMPT_VALID = "attempt/valid"  # 1 or 0
ATTEMPT_ACCURACY = "attempt/proxy_accuracy"
ATTEMPT_BEST = "attempt/best_proxy_accuracy"  # so far
ATTEMPT_GAIN = "attempt/gain"
ATTEMPT_LINES = "attempt/delta_lines"
EPOCH = "finalists/epoch"  # the x axis of the next ones
FINALISTS = "finalist/"  # and the attempt's id: validation accuracy after the epoch

REPORT, NETWORK = "report", "best-network"  # artifacts
CANDIDATES = "candidates"  # the table of candidates
BEST_DELTAS = "best_deltas"  # the best candidates' deltas as HTML

TITLES: Mapping[str, str] = {
    VALID_RATE: "Valid rate",
    USEFUL_RATE: "Useful rate",
    DISTINCT_RATE: "Distinct rate",
    MEAN_FIRST_EPOCH_ACCURACY: "Mean first-epoch accuracy",
    BEST_FIRST_EPOCH_ACCURACY: "Best first-epoch accuracy",
    MEAN_GAIN: "Mean gain over the parent",
    DELTA_LINES: "Delta length (lines)",
    DELTA_TOKENS: "Delta length (tokens)",
    ADMITTED: "Candidates admitted",
    INFRASTRUCTURE_FAILURES: "Infrastructure failures",
    SECONDS_BASELINES: "Seconds scoring baselines",
    SECONDS_GENERATE: "Seconds generating",
    SECONDS_SCREEN: "Seconds screening",
    SECONDS_EVALUATE: "Seconds evaluating",
    SECONDS_RACE: "Seconds racing",
    SECONDS_TUNE: "Seconds tuning",
    SECONDS_RECORD: "Seconds recording",
    TUNE_LOSS_BEFORE: "Held-out loss before LoRA",
    TUNE_LOSS_AFTER: "Held-out loss after LoRA",
    CONFIRMED_RATE: "Confirmed improved rate",
    CONFIRMED_BEST: "Confirmed best accuracy",
    CONFIRMED_GAIN: "Confirmed best gain",
    TOP10_ERROR: "Top 10 error",
    TOP10_ERROR_BASELINES: "Top 10 error of the baselines",
    SPEARMAN_RHO: "Spearman rho",
    SPEARMAN_LOW: "Spearman rho, lower bound",
    SPEARMAN_HIGH: "Spearman rho, upper bound",
    SPEARMAN_N: "Finalists in the study",
}
