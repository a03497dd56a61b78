"""Every failure that the program expects, as one small tree.

AutoKaggleError                 one clear sentence for the person; the command ends with `exit_code`
├── BadInput           (2)      a config, CSV, folder or argument that can't be used
│   ├── SandboxUnavailable (2)  no sandbox of the asked level works on this machine
│   └── MetricFailed       (2)  a person's own metric.py raises for some labels and predictions
├── CampaignBusy       (3)      another process plays this campaign
├── Damaged            (4)      a durable file fails its checksum (most callers rebuild it)
├── OutputRejected     (4)      what an experiment or an agent produced is not usable
├── ProtocolError      (4)      an agent's reply is off the one-line protocol
├── CompetitionError   (5)      the competition refused or could not be reached
│   └── SubmissionRefused  (5)  a definite no (beside what raises it, in competitions/base.py)
└── CampaignOver       (0)      an ending: carries the reason for state.json and REPORT.md
    ├── Capped, Written    (0)  caps of money and tokens; an experiment that was to be written and not run
    └── FatalEnding    (5)      ends the campaign because going on makes no sense
"""

from __future__ import annotations


class AutoKaggleError(Exception):
    """Base of all expected failures: `str(error)` is one sentence that a person can act on."""

    exit_code = 4


class BadInput(AutoKaggleError):
    """Names the file, the key, the value and the fix."""

    exit_code = 2


class SandboxUnavailable(BadInput):
    """No sandbox of the level asked for starts here."""


class MetricFailed(BadInput):
    """The score of a person's own metric raises, for these labels and predictions at least."""


class CampaignBusy(AutoKaggleError):
    """Another orchestrator holds this campaign's lock."""

    exit_code = 3


class Damaged(AutoKaggleError):
    """A durable file is torn, edited or otherwise fails its own checksum."""


class OutputRejected(AutoKaggleError, ValueError):
    """Predictions, scripts or notes that fail validation: the reason goes back to who made them."""


class ProtocolError(AutoKaggleError):
    """An agent's one-line reply is not one of those its phase allows."""


class CompetitionError(AutoKaggleError):
    """The competition said no, or did not answer."""

    exit_code = 5


class CampaignOver(AutoKaggleError):
    """The campaign ends by itself; the message is the reason shown to the person."""

    exit_code = 0


class Stopped(AutoKaggleError):
    """A person asked for a stop; the same command goes on."""

    exit_code = 130


class Capped(CampaignOver):
    """A cap of money or tokens is reached: all is well, and a higher cap goes on."""


class Written(CampaignOver):
    """The next experiment stands there and was not to be run."""


class FatalEnding(CampaignOver):
    """Going on makes no sense (disk full, credentials refused, rules not accepted)."""

    exit_code = 5
