"""The deterministic half of AutoKaggle: the loop, the referee, the sandbox and the submission ledger."""
