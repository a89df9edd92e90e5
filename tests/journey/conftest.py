"""A writer, as the tests of its package have it."""

from tests.resolve.conftest import office

__all__ = ["office"]
