"""What simtile raises. Every message is one line: what happened, where, and what to do."""


class Error(Exception):
    """Base of all that simtile raises."""


class IoError(Error, OSError):
    """The system refused: missing file, permission, disk full."""


class InvalidArgumentError(Error, ValueError):
    """Something was asked for that makes no sense."""


class CorruptError(Error):
    """A file is damaged or not what it says, or values cannot be compared (NaN, infinity)."""


class BudgetTooSmallError(Error):
    """The page budget is below the smallest that works, which the message names."""


class InterruptedJobError(Error):
    """A job was stopped; the same call goes on from there."""
