"""Sealed folds, honest scores, keep or discard."""
