"""A local Kaggle in its own process, for the real client: hook A of its settings, a proxy to 127.0.0.1.

`start.kaggle()` starts it, tells a child's environment, and controls it: competitions, faults, clock, people, kernels.
"""
