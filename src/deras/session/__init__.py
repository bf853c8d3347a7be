"""The one door for Python users: :func:`connect`, then ``.sql()``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from deras.core.time import Clock

__all__ = ["connect"]


def connect(folder: Path | str | None = None, *, clock: Clock | None = None) -> Any:
    """Open a session.

    Args:
        folder: a project's folder, made if need be: what runs in it survives the process. If another process owns it,
            the session attaches to that one. None: all in memory.
        clock: the time; for tests.

    Returns:
        A :class:`deras.session.session.Session`, or a remote one with the same methods.

    Raises:
        ExternalError: the folder cannot be used.
    """
    from deras.core.errors import ProjectBusyError

    if "deras.session.session" in sys.modules:
        from deras.session.session import Session
    else:
        from deras.core.loading import uncollected

        with uncollected():
            from deras.session.session import Session

    try:
        session = Session(folder, clock=clock)
    except ProjectBusyError:
        from deras.runtime.project import owner
        from deras.session.remote import attach

        found = None if folder is None else owner(folder)
        if folder is None or found is None or found.pid == os.getpid():
            raise
        return attach(folder)
    session.listen()
    return session
