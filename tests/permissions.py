"""Files and folders that this process may not read or change, also if it runs as root."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

VERSION = 0x20080522  # of the system call
IGNORE_PERMISSIONS = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH


class Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class Capabilities(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable"))


@contextmanager
def permissions_apply() -> Iterator[None]:
    """Let permissions of files apply to root, too, as they do to every other user."""
    if os.geteuid() != 0:
        yield
        return
    libc, header, own = ctypes.CDLL(None), Header(VERSION, 0), (Capabilities * 2)()
    assert libc.capget(ctypes.byref(header), own) == 0
    before = own[0].effective
    own[0].effective = before & ~IGNORE_PERMISSIONS
    assert libc.capset(ctypes.byref(header), own) == 0
    try:
        yield
    finally:
        own[0].effective = before
        assert libc.capset(ctypes.byref(header), own) == 0
