"""Where experiments run: sandbox levels, limits, whole-tree kill, and the executor that runs folds side by side.

What a sandbox covers, at levels A, B and C: no network, no file of the host except the Python installation and the
job's own inputs (read-only), nothing writable except OUT and scratch that is thrown away, no key in the environment,
no signal, trace or shared memory to another process, and limits on time, memory, disk, processes and log.
What it does not cover: a bug in the kernel; timing; at level B also the names and sizes of files and the command lines
of other processes, and shared memory under names that the experiment would have to guess.
Nor two runs of one script at the same time that mean to talk by the load they make (timing, page cache). File locks
are closed to them; at level B names would do, so the referee runs folds one after the other there.
A GPU is let in where `execution.gpus` asks for it, at level A: its driver, part of the kernel, is within reach then,
and memory that it holds counts for nobody (docs/design/0012).
"""

from orchestrator.execution.jobs import Job, Limits, Outcome, Sandbox
from orchestrator.execution.ladder import harden_self, probe
from orchestrator.execution.local import LocalExecutor

__all__ = ["Job", "Limits", "LocalExecutor", "Outcome", "Sandbox", "harden_self", "probe"]
