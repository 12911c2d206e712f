"""The error for data that can't be used as they are."""


class DataError(ValueError):
    """Data that the user can mend: the message says what was given, what was expected and what to do."""
