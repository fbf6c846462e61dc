"""The one exception that a user sees: a line that says what is wrong and how to mend it."""


class TinyemError(Exception):
    """A failure the user can act on. The command line prints its text and exits 1."""
