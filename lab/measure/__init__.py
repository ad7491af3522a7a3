"""Figures: how good the masks are and what they cost, on pictures whose true regions are known."""
