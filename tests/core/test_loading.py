"""Loading without the collector."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

import pytest

from deras.core.loading import uncollected


class Node:
    """Part of a cycle."""

    def __init__(self) -> None:
        self.me = self


def test_the_collector_waits_and_goes_on() -> None:
    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
        garbage = weakref.ref(Node())
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    assert garbage() is not None
    gc.collect()
    assert garbage() is None, "what was made meanwhile is collected later like anything else"


def test_it_goes_on_after_an_error() -> None:
    with pytest.raises(ImportError), uncollected():
        raise ImportError
    assert gc.isenabled()


def test_who_has_turned_it_off_or_frozen_objects_keeps_that() -> None:
    gc.disable()
    gc.freeze()
    kept = gc.get_freeze_count()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
        assert gc.get_freeze_count() == kept > 0
    finally:
        gc.unfreeze()
        gc.enable()


def test_the_first_session_is_loaded_without_it() -> None:
    code = (
        "import gc\nfound = []\n"
        "gc.callbacks.append(lambda phase, about: found.append(phase))\n"
        "import deras\nbefore = len(found)\n"
        "deras.connect().close()\n"
        "print(len(found) - before, gc.isenabled(), gc.get_freeze_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seen, on, frozen = done.stdout.split()
    assert int(seen) < 100, "a quarter of a million objects are 500 looks"
    assert (on, frozen) == ("True", "0")
