"""A sample of stories: whole ones, chosen by their correlation id."""

from hashlib import blake2b

from choreo.errors import ConfigError

_SPAN = 1 << 32


class Sample:
    """All stories, or some of them."""

    everything = True

    def takes(self, story: str) -> bool:
        """Whether this story is among them; asked in the order in which they are met."""
        return True

    def knows(self, story: str) -> bool:
        """Whether it was taken."""
        return self.takes(story)


EVERY = Sample()


class Share(Sample):
    """A share of all stories, the same ones each time."""

    everything = False

    def __init__(self, percent: float) -> None:
        self._below = round(percent / 100 * _SPAN)

    def takes(self, story: str) -> bool:
        return int.from_bytes(blake2b(story.encode(), digest_size=4).digest(), "big") < self._below


class First(Sample):
    """So many stories, the first that are met."""

    everything = False

    def __init__(self, count: int) -> None:
        self._left = count
        self._taken: set[str] = set()

    def takes(self, story: str) -> bool:
        if story not in self._taken and self._left:
            self._left -= 1
            self._taken.add(story)
        return story in self._taken

    def knows(self, story: str) -> bool:
        return story in self._taken


def sample_of(text: str) -> Sample:
    """What `10%` or `500` says. Raises ConfigError."""
    number = text.removesuffix("%")
    try:
        if text.endswith("%") and 0 < float(number) <= 100:
            return Share(float(number))
        if not text.endswith("%") and int(number) > 0:
            return First(int(number))
    except ValueError:
        pass
    raise ConfigError(f"{text} is no sample", hint="a share of all stories (10%), or a number of stories (500)")
