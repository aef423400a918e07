"""Programs and the kernel: executing something else, or asking for more than training needs."""

from deltanas.records import Verdict
from tests.hostile.attack import Attack

_SHELLCODE = """
prot = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
page = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE, prot=prot)
page.write({code})
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
"""

ATTACKS = (
    Attack(
        "subprocess",
        "init",
        "subprocess.run(['/bin/sh', '-c', f\"echo x > {C['folder']}/evil\"])",
        harms_when_weak=True,
    ),
    Attack(
        "os_system",
        "training",
        "assert torch.os.system(f\"echo x > {C['folder']}/evil\") == 0, 'EPERM'",
    ),
    Attack(
        "libc_system",
        "evaluation",
        "assert libc.system(f\"echo x > {C['folder']}/evil\".encode()) == 0, 'EPERM'",
    ),
    Attack("exec", "import", "os.execv('/bin/sh', ['sh', '-c', f\"echo > {C['folder']}/evil\"])"),
    Attack("posix_spawn", "import", "os.posix_spawn('/bin/sh', ['sh', '-c', 'exit'], {})"),
    Attack(
        "exec_from_memory",
        "import",
        """
        descriptor = os.memfd_create("program")
        os.write(descriptor, open("/usr/lib/os-release", "rb").read())
        os.execve(descriptor, ["x"], {})
        """,
    ),
    Attack(
        "unpickle",
        "init",
        """
        import io, pickle

        class Evil:
            def __reduce__(self):
                return os.open, (C["folder"] + "/evil", os.O_CREAT | os.O_WRONLY)

        torch.load(io.BytesIO(pickle.dumps(Evil())), weights_only=False)
        """,
    ),
    Attack(
        "compile_extension",
        "init",
        """
        from torch.utils.cpp_extension import load_inline
        load_inline("evil", "int f() { return 1; }", functions=["f"], build_directory=C["folder"])
        """,
        reason="PermissionError|not permitted|denied|Ninja|RuntimeError|OSError",
    ),
    Attack(
        "load_library",
        "init",
        "ctypes.CDLL(C['folder'] + '/library.so')",
        reason="OSError: <path>: cannot open shared object file: Permission denied",
    ),
    Attack("unshare", "setup", "call('unshare', 0x10000000)"),
    Attack("own_descriptor_table", "setup", "call('close_range', 1000, 1000, 2)"),
    Attack(  # of the images, which the next candidate could read there
        "policy_of_shared_memory",
        "training",
        """
        place = x.untyped_storage().data_ptr() & -4096
        call("mbind", place, 4096, 1, ctypes.byref(ctypes.c_ulong(1)), 8, 0)
        """,
    ),
    Attack("mount", "setup", "call('mount', b'none', b'/tmp', b'tmpfs', 0, None)"),
    Attack("chroot", "setup", "os.chroot('/')"),
    Attack("bpf", "training", "call('bpf', 0, ctypes.create_string_buffer(128), 128)"),
    Attack("io_uring", "training", "call('io_uring_setup', 8, ctypes.create_string_buffer(120))"),
    Attack("keyctl", "training", "call('keyctl', 0, -3, 1)"),
    Attack("userfaultfd", "training", "call('userfaultfd', 1)"),
    Attack(
        "perf",
        "training",
        "call('perf_event_open', ctypes.create_string_buffer(128), 0, -1, -1, 0)",
    ),
    Attack("shared_memory_segment", "training", "call('shmget', 0x1234, 4096, 0o1666)"),
    Attack("message_queue", "training", "call('mq_open', b'evil', 0o102, 0o666, None)"),
    Attack("landlock_again", "init", "call('landlock_restrict_self', -1, 0)"),
    Attack("become_root", "evaluation", "os.setuid(0)"),
    Attack(
        "capabilities", "evaluation", "call('capset', struct.pack('Ii', 0x20080522, 0), bytes(24))"
    ),
    Attack(
        "raise_limits",
        "init",
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))",
        reason="ValueError: not allowed to raise maximum limit|not permitted",
    ),
    Attack("type_into_terminal", "init", "import fcntl; fcntl.ioctl(0, 0x5412, b'x')"),
    Attack(
        "machine_code_in_own_memory",
        "evaluation",
        _SHELLCODE.format(code='b"\\xb8\\x2a\\x00\\x00\\x00\\xc3" if C["x86_64"] else bytes(4)')
        + "assert not C['x86_64'] or ctypes.CFUNCTYPE(ctypes.c_int)(address)() == 42",
        verdict=Verdict.TRAINED,  # it is as confined as what Python compiles
        reason="^$",
    ),
    Attack(
        "system_call_of_32_bits",  # int 0x80: getpid is 20 there, writev here
        "evaluation",
        _SHELLCODE.format(
            code='b"\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3" if C["x86_64"] else b""'
        )
        + "ctypes.CFUNCTYPE(ctypes.c_int)(address)() if C['x86_64'] else call('x32')",
        verdict=Verdict.KILLED,
        reason="SIGSYS",
    ),
    Attack(
        "system_call_of_x32",
        "evaluation",
        "call('x32')",
        verdict=Verdict.KILLED,
        reason="SIGSYS",
    ),
)
