"""Problems of a data set: training stops at the first one, `inspect` lists all of them.

A data set's constructor gets a `Diagnostics` and reports `problem(...)` where something must be fixed and `unused(...)`
where files or rows are not used. Training passes none, so that the first problem raises; inspection passes a `Collected`,
and the constructor leaves the bad part out.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from diffperc.errors import DataError

log = logging.getLogger(__name__)


class Diagnostics:
    """Stops at the first problem, and warns of files that are not used."""

    def problem(self, sentence: str) -> None:
        """Report what must be fixed; if it returns, the caller leaves that part out.

        Raises:
            DataError: the sentence.
        """
        raise DataError(sentence)

    def draft(self, name: str, text: str) -> None:
        """Offer the text of a file that the data set lacks; training has no use for it."""

    def unused(self, sentences: Sequence[str]) -> None:
        """Report what is not used: one warning with the first sentence and the number of the others."""
        if len(sentences) > 1:
            log.warning("%s (%d more like it.)", sentences[0], len(sentences) - 1)
        elif sentences:
            log.warning("%s", sentences[0])


class SaidOnce(Diagnostics):
    """The same, for several splits of one data set: what each of them finds is said once."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def unused(self, sentences: Sequence[str]) -> None:
        new = [sentence for sentence in sentences if sentence not in self._said]
        self._said.update(new)
        super().unused(new)


class Collected(Diagnostics):
    """Keeps everything.

    Attributes:
        problems: sentences about what must be fixed, each of which names a file.
        left_out: sentences about what is not used.
        drafts: texts of missing files, by name.
    """

    def __init__(self) -> None:
        self.drafts: dict[str, str] = {}
        self.problems: list[str] = []
        self.left_out: list[str] = []

    def problem(self, sentence: str) -> None:
        if sentence not in self.problems:  # problems of both splits are found twice
            self.problems.append(sentence)

    def draft(self, name: str, text: str) -> None:
        self.drafts[name] = text

    def unused(self, sentences: Sequence[str]) -> None:
        self.left_out += [sentence for sentence in sentences if sentence not in self.left_out]


STOP = Diagnostics()
"""The default of every constructor."""
