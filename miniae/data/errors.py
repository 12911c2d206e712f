"""The errors for data and files that can't be used as they are."""


class DataError(ValueError):
    """Data that the user can mend: the message says what was given, what was expected and what to do."""


class StorageError(ValueError):
    """A file can't be read or written; the message names it and says what is wrong and how to mend it."""


def a_kind(thing: object) -> str:
    """The name of a thing's class with its article, for messages: "an Autoencoder"."""
    name = type(thing).__name__
    return f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} {name}"


def first_line(why: BaseException, at_most: int = 200) -> str:
    """What an exception says, in one line that is not too long; its kind, where it says nothing."""
    said = " ".join(str(why).strip().partition("\n")[0].split()) or type(why).__name__
    return said if len(said) <= at_most else said[:at_most] + " ..."
