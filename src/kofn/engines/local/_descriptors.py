"""Files without names, and how many of them the system lets a process have."""

from __future__ import annotations

import errno
import os


def anonymous_file() -> int:
    """Return the descriptor of a new memory file that has no name.

    Examples
    --------
    >>> import os
    >>> descriptor = anonymous_file()
    >>> os.fstat(descriptor).st_size
    0
    >>> os.close(descriptor)
    """
    try:
        return _create()
    except OSError as error:
        if error.errno != errno.EMFILE or not raise_descriptor_limit():
            raise
        return _create()


def _create() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("kofn", os.MFD_CLOEXEC)
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def raise_descriptor_limit() -> bool:
    """Lift the soft limit of descriptors to the hard one; one resident value needs one descriptor."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return False
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return True
