"""What the machine offers this process, not what it has."""

from __future__ import annotations

import os

import pytest

from leukoscope.machine import count_workers


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_only_cores_that_the_process_is_allowed_on_count() -> None:
    before = os.sched_getaffinity(0)
    assert count_workers() == len(before)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert count_workers() == 1
    finally:
        os.sched_setaffinity(0, before)
