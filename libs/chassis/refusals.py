"""How a domain says no. Knows nothing of HTTP; `errors.install` turns a refusal into a problem."""

from __future__ import annotations

from typing import ClassVar


class Refused(Exception):
    """A command that the state of things does not allow. Subclass it once per reason.

    `slug` is stable, `title` is for people; neither repeats what was sent. Becomes status 409.
    """

    slug: ClassVar[str] = "refused"
    title: ClassVar[str] = "The state of things does not allow this"

    def __init__(self) -> None:
        super().__init__(self.title)


class Missing(Refused):
    """The command names something that is not there. Becomes status 404."""

    slug = "not-found"
    title = "There is nothing here, or not for you"
