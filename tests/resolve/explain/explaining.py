"""An explainer over what an office has written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from mdm.resolve.explain.explainer import Explainer
from mdm.resolve.reader import Reader
from mdm.resolve.reading import Reading
from tests.resolve.office import Office


@contextmanager
def explaining(office: Office) -> Iterator[Explainer]:
    """Yield an explainer; the office is closed meanwhile, for LMDB opens a file once in a process."""
    with reading(office) as (explainer, _):
        yield explainer


@contextmanager
def reading(office: Office) -> Iterator[tuple[Explainer, Reading]]:
    """Yield an explainer and one state that it reads."""
    office.close()
    try:
        with closing(Reader.open(office.path)) as reader, reader.reading() as state:
            yield Explainer(reader), state
    finally:
        office.reopen()
