"""Resources: taking so much that nobody else has any, or dying in a way that upsets others."""

from deltanas.records import Verdict
from tests.hostile.attack import Attack

ATTACKS = (
    Attack(
        "bytes_bomb",
        "import",
        "bytearray(8 * 2**30)",
        verdict=Verdict.OUT_OF_MEMORY,
        reason="MemoryError",
    ),
    Attack(
        "tensor_bomb",
        "training",
        "torch.ones(2 * 2**30)",
        verdict=Verdict.OUT_OF_MEMORY,
        reason="memory",
    ),
    Attack(
        "private_mapping_bomb",
        "init",
        "mmap.mmap(-1, 8 * 2**30, flags=mmap.MAP_PRIVATE).write(bytes(2**20))",
        verdict=Verdict.OUT_OF_MEMORY,
        reason="Cannot allocate memory",
    ),
    Attack(
        "shared_pages_given_back",  # but for one, which would keep them all
        "training",
        """
        held = C.setdefault("held", [])
        for _ in range(16):
            held.append(mmap.mmap(-1, 2**26))
            held[-1].write(bytes(2**26))
            held[-1].resize(4096)
        """,
    ),
    Attack(
        "huge_pages",  # which stay whole until all of them is given back
        "init",
        """
        C["held"] = huge = mmap.mmap(-1, 2**26, flags=mmap.MAP_PRIVATE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(huge))
        libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(2**26), 14)
        huge.write(bytes(2**26))
        refused = libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(2**26), 25)
        assert not refused, os.strerror(ctypes.get_errno())
        """,
        reason="Invalid argument",
    ),
    Attack("lock_memory", "init", "assert not libc.mlockall(3), 'EPERM'"),
    Attack(
        "descriptor_bomb",
        "init",
        "[os.dup(1) for _ in range(1000)]",
        reason="Too many open files",
    ),
    Attack(
        "loop_at_import",
        "import",
        "while True: pass",
        verdict=Verdict.TIMED_OUT,
        reason="stopped after",
    ),
    Attack(
        "loop_that_ignores_signals",
        "training",
        """
        for number in range(1, 65):
            if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
                signal.signal(number, signal.SIG_IGN)
        while True:
            try:
                torch.ones(8).sum()
            except BaseException:
                pass
        """,
        verdict=Verdict.TIMED_OUT,
        reason="stopped after",
    ),
    Attack(
        "stop_itself",
        "evaluation",
        "os.kill(os.getpid(), signal.SIGSTOP)",
        verdict=Verdict.TIMED_OUT,
        reason="stopped after",
    ),
    Attack(
        "recursion",
        "init",
        """
        def endless():
            return endless()
        endless()
        """,
        reason="RecursionError",
    ),
    Attack(
        "segmentation_fault",
        "evaluation",
        "ctypes.string_at(8)",
        verdict=Verdict.KILLED,
        reason="SIGSEGV",
    ),
    Attack(
        "signal_without_a_name",
        "training",
        "os.kill(os.getpid(), 35)",
        verdict=Verdict.KILLED,
        reason="killed by signal 35",
    ),
    Attack(
        "early_exit", "import", "os._exit(0)", verdict=Verdict.KILLED, reason="before it answered"
    ),
    Attack("system_exit", "init", "raise SystemExit(0)", reason="SystemExit"),
    Attack(
        "keyboard_interrupt",
        "training",
        "raise KeyboardInterrupt",
        reason="KeyboardInterrupt|SystemExit",
    ),
    Attack(
        "own_base_exception",
        "evaluation",
        """
        class Odd(BaseException):
            def __str__(self):
                raise SystemExit(0)
        raise Odd
        """,
        verdict=Verdict.KILLED,
        reason="ended with status 1",
    ),
    Attack(
        "thread_left_running",
        "training",
        "threading.Thread(target=time.sleep, args=(3600,)).start() if not C.pop('x', 0) else None;"
        " C['x'] = 1",
        verdict=Verdict.TRAINED,
        reason="^$",
    ),
    Attack(
        "flood_of_output",
        "init",
        "[os.write(stream, bytes(2**20)) for _ in range(64) for stream in (1, 2)]",
        verdict=Verdict.TRAINED,
        reason="^$",
    ),
    Attack(
        "flood_of_answer",
        "training",
        "[os.write(open_descriptors()[-1], bytes(10**5)) for _ in range(10**4)]",
        verdict=Verdict.KILLED,
        reason="wrote more than",
    ),
    Attack(
        "many_threads_of_torch",
        "training",
        "torch.set_num_threads(8)\ntorch.ones(2000, 2000).exp_()",
        verdict=Verdict.TRAINED,
        reason="^$",
    ),
)
