"""Small experiments start sooner from nothing than the usual libraries are imported: no warm process in tests."""

import os

os.environ["AUTOKAGGLE_EXECUTION__WARM"] = "false"
