"""The error for data that can't be used as they are."""


class DataError(ValueError):
    """Data that the user can mend: the message says what was given, what was expected and what to do."""


def a_kind(thing: object) -> str:
    """The name of a thing's class with its article, for messages: "an Autoencoder"."""
    name = type(thing).__name__
    return f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} {name}"
