"""The lists of the policy: modules that a network may import, names that it may not use."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MODULES = _words(
    """
    __future__ abc collections copy dataclasses einops enum functools gc itertools math numbers
    numpy random torch torchvision types typing warnings
    """
)

# Builtins that run code, reach files or hand out namespaces.
BUILTINS = _words("breakpoint compile eval exec exit globals help locals open quit vars")

# Builtins that look an attribute up by name: only with a literal one.
BY_NAME = frozenset({"getattr", "setattr", "delattr", "hasattr"})

_DUNDERS = _words(
    """
    __add__ __all__ __annotations__ __author__ __call__ __class__ __constants__ __contains__
    __delattr__ __doc__ __enter__ __eq__ __exit__ __getitem__ __hash__ __init__ __iter__ __len__
    __main__ __module__ __mul__ __name__ __ne__ __new__ __next__ __post_init__ __qualname__
    __repr__ __setitem__ __setstate__ __str__ __sub__ __version__
    """
)

# Refused as an attribute of anything: modules that libraries expose, frames, raw memory and files.
_ANYWHERE = _words(
    """
    asyncio builtins cffi codecs cpp_extension ctypes ctypeslib f2py fcntl glob importlib inspect
    io linecache marshal mmap multiprocessing os pathlib pickle pkgutil platform posix runpy
    shutil signal site socket subprocess sys tempfile threading tokenize urllib weakref zipfile
    f_back f_builtins f_code f_globals f_locals gi_code gi_frame cr_code cr_frame ag_code ag_frame
    tb_frame tb_next co_code get_objects get_referents get_referrers
    CodeType CompilationUnit DataSource ForwardRef data_ptr download_url_to_file from_blob
    from_file fromfile get_type_hints load_library load_state_dict_from_url memmap tofile
    untyped_storage
    """
)

# Refused behind an imported name only: a network may well have a method called `load`.
_IN_MODULES = _words(
    """
    datasets distributed fromregex genfromtxt hub load loads loadtxt model_zoo open
    package save savetxt savez savez_compressed serialization set_num_threads testing
    """
)

# What the permitted modules hold of others, as `torch.utils._osp` holds `posixpath`: found by
# walking the live modules, which tests/screen/test_live_modules.py does again.
_STRAY = _words(
    """
    Image ImageColor ImageDraw ImageEnhance ImageFont ImageOps
    _NON_SCRIPTABLE_REMOTE_MODULE_MODULE _base64 _collections _cuda_bindings_driver
    _cuda_bindings_runtime _cuda_driver _cuda_runtime _drv _hashlib _operator _osp _random _rt
    _thread _warnings argparse ast atexit base64 bisect bltns cProfile colorama contextlib
    contextvars copyreg csv datetime dis errno fnmatch getpass gzip hashlib heapq json keyword
    locale logging
    mlib mock mp operator pprint pstats py_heapq py_operator py_sys python_multiprocessing queue
    re shlex stat statistics stdlib_re string struct sympy sysconfig textwrap time torchgen
    traceback triton typing_extensions unicodedata unittest uuid wintypes zlib
    BufferedIOBase EntryPoint IOBase Path StringIO ThreadPoolExecutor _Path _distribution
    _find_spec _open _packages_distributions _urandom attrgetter currentframe find_spec interface
    """
)

_SWITCHES = ("torch.backends.",)  # speed settings that networks set at import


def denied(name: str) -> bool:
    """Return whether no object may be asked for this attribute."""
    if name.startswith("__") and name.endswith("__"):
        return name not in _DUNDERS
    return name.lstrip("_") in _ANYWHERE


def denied_in_module(name: str) -> bool:
    """Return whether an imported module may not be asked for this attribute."""
    return denied(name) or name in _IN_MODULES or name in _STRAY


def is_switch(path: str) -> bool:
    """Return whether an attribute of a library is a setting that networks may change."""
    return path.startswith(_SWITCHES)
