"""The one base of errors that the user can mend."""

from __future__ import annotations


class UserError(Exception):
    """What the user can mend; the message says what was found and what must hold.

    Programs end on one with its message and exit code 2, without a traceback.
    """
