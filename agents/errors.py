"""What can go wrong with a model session, one small tree; the orchestrator decides what follows."""


class AgentError(Exception):
    """A turn could not be finished; the message says why in one sentence."""


class BudgetSpent(AgentError):
    """The next request could pass a cap of money or tokens; `span` is what the cap is for: campaign, day or round."""

    def __init__(self, message: str, span: str = "campaign") -> None:
        super().__init__(message)
        self.span = span


class ContextFull(AgentError):
    """The provider refused the conversation as too long: go on in a new session."""


class ModelRefused(AgentError):
    """The model declined the turn, rephrased as well: go on with the fallback model in a new session."""


class ModelUnreachable(AgentError):
    """The provider gave no answer for longer than the settings allow."""


class ModelUnusable(AgentError):
    """A key, a model's name, a price or an account needs a person."""


class OffProtocol(AgentError):
    """The model would not end its turn as asked."""
