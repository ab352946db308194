"""Where the files for C programs are."""

from __future__ import annotations

import os


def _directory(*parts: str) -> str:
    import isthmus

    # An editable install has several roots; a wheel has one.
    for root in isthmus.__path__:
        found = os.path.join(root, *parts)
        if os.path.isdir(found):
            return found
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    found = os.path.normpath(os.path.join(source, *parts))
    if parts == ("include",) and os.path.isdir(found):
        return found
    raise FileNotFoundError(
        f"this installation of isthmus has no {'/'.join(parts)}; "
        "install it as a wheel (pip install .) to build C programs with it"
    )


def get_include() -> str:
    """The directory to give to the C compiler as ``-I``: it holds ``isthmus/isthmus.h``.

    >>> import os, isthmus
    >>> os.path.exists(os.path.join(isthmus.get_include(), "isthmus", "isthmus.h"))
    True
    """
    return _directory("include")


def get_pkgconfig_dir() -> str:
    """The directory of ``isthmus.pc``, to put into ``PKG_CONFIG_PATH``.

    Raises FileNotFoundError in an editable install, which has no library to link.
    """
    return _directory("lib", "pkgconfig")
