"""Estimators and sequential tests: pure functions of numbers and time."""

from tidegauge.slo.detector import BlockSums, Detector, make_detector
from tidegauge.slo.evidence import BETS, Rule, clip_f, estimate_of, item_terms, label_difference, log_evidence, terms_of
from tidegauge.slo.rates import UNKNOWN, Estimate, RateSums, estimate, rate_terms

__all__ = [
    "BETS",
    "UNKNOWN",
    "BlockSums",
    "Detector",
    "Estimate",
    "RateSums",
    "Rule",
    "clip_f",
    "estimate",
    "estimate_of",
    "item_terms",
    "label_difference",
    "log_evidence",
    "make_detector",
    "rate_terms",
    "terms_of",
]
