"""Keeps what we do not use of the package `kubernetes` from being imported before it is named."""

import importlib
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from importlib.abc import Loader, MetaPathFinder
else:  # that module takes 4 ms to import, and help waits for this one
    Loader = MetaPathFinder = object

UNUSED: Final = {
    "kubernetes": ("client", "config", "dynamic", "informer", "leaderelection", "stream", "utils", "watch"),
    "kubernetes.aio": ("dynamic", "leaderelection", "stream", "watch"),
}
"""What each package imports with itself, though what we use of `kubernetes.aio` needs none of it."""


def defer() -> None:
    """From now on `kubernetes` comes without what we do not use; that is imported once it is named.

    Without effect where the package is imported already.
    """
    if "kubernetes" not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds these packages as they would be found, with another loader."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in UNUSED:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, UNUSED[name])
        return spec


class _Loader(Loader):
    """Executes a package with empty modules in the place of those it imports, and takes these away again.

    No lazy module stays behind (`importlib.util.LazyLoader` would leave some, which cannot be pickled by
    reference and are half loaded for a second thread): who asks later makes Python import the real ones.
    """

    def __init__(self, real: Loader, unused: Sequence[str]) -> None:
        self._real = real
        self._unused = unused

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._real
        module.__loader__ = self._real
        package = module.__name__
        missing = [name for name in self._unused if f"{package}.{name}" not in sys.modules]
        empty = {name: ModuleType(f"{package}.{name}") for name in missing}
        sys.modules.update({one.__name__: one for one in empty.values()})
        try:
            self._real.exec_module(module)
        except (ImportError, AttributeError):  # a release that uses them at once: it has the real ones
            _take_away(module, empty)
            self._real.exec_module(module)
            return
        finally:
            _take_away(module, empty)
        module.__dict__["__getattr__"] = partial(_imported, package, frozenset(empty))


def _take_away(module: ModuleType, empty: Mapping[str, ModuleType]) -> None:
    for name, one in empty.items():
        if sys.modules.get(one.__name__) is one:
            del sys.modules[one.__name__]
        if module.__dict__.get(name) is one:
            del module.__dict__[name]


def _imported(package: str, names: frozenset[str], name: str) -> ModuleType:
    """An attribute that the package has no more by itself."""
    if name in names:
        return importlib.import_module(f"{package}.{name}")
    raise AttributeError(f"module {package!r} has no attribute {name!r}")
