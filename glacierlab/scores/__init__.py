"""Scores of a map against a reference: confusion counts first, every score a small function of them."""

from .scoring import COUNTS, GLACIER_PARTS, burn, codes_of, polis, score, scores_from

__all__ = ["COUNTS", "GLACIER_PARTS", "burn", "codes_of", "polis", "score", "scores_from"]
