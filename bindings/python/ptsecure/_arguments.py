"""Arguments that may be left out."""

from ptsecure.errors import InvalidArgumentError


def text_or_none(name: str, value: str | None) -> str:
    """A text for the raw layer, where "" is none.

    An empty one was meant to be something, an environment variable that isn't set for example, and
    must not turn off what it was to ask for.
    """
    if value == "":
        raise InvalidArgumentError(f"{name} is '': give a text, or None (the default) for none")
    return value or ""
