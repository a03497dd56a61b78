"""Kaggle itself, through its official client in a process of its own."""
