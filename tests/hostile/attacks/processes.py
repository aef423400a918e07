"""Other processes: starting them, and reaching those that are there."""

from deltanas.records import Verdict
from tests.hostile.attack import Attack

ATTACKS = (
    Attack("fork", "training", "os.fork() or time.sleep(60)"),  # ends with its group in any case
    Attack(
        "daemon",
        "init",
        """
        if os.fork() == 0:
            os.setsid()
            time.sleep(60)
        """,
    ),
    Attack("vfork", "setup", "call('vfork')"),
    Attack("clone_process", "setup", "call('clone', signal.SIGCHLD, 0, 0, 0, 0)"),
    Attack(
        "clone_thread_with_namespace",
        "setup",
        "call('clone', 0x10000 | 0x800 | 0x100 | 0x10000000, 0, 0, 0, 0)",
    ),
    Attack(
        "clone3",
        "setup",
        "call('clone3', struct.pack('8Q', *[0] * 4, signal.SIGCHLD, 0, 0, 0), 64)",
        reason="Function not implemented",
    ),
    Attack(
        "multiprocessing",
        "training",
        """
        import multiprocessing
        multiprocessing.get_context("fork").Process(target=print).start()
        """,
    ),
    Attack(
        "thread_bomb",
        "training",
        """
        threading.stack_size(32768)
        for _ in range(3000):
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        time.sleep(60)
        """,
        verdict=Verdict.KILLED,
        reason="too many threads",
    ),
    Attack(
        "leave_a_thread_behind",  # the kernel then says that the process holds no memory
        "training",
        """
        threading.Thread(target=time.sleep, args=(60,)).start()
        call("exit", 0)
        """,
        verdict=Verdict.KILLED,
        reason="SIGKILL",
    ),
    Attack(
        "hoard_signals",  # 10**5 of them, and no process of this user can make a timer
        "training",
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, [40])
        for _ in range(1000):
            os.kill(os.getpid(), 40)
        count = 0
        while signal.sigtimedwait([40], 0):
            count += 1
        raise ValueError(f"{count} signals")
        """,
        reason="ValueError: [0-9]{1,2} signals",
    ),
    Attack("kill_parent", "init", "os.kill(C['parent'], signal.SIGKILL)"),
    Attack("kill_supervisor", "training", "os.kill(os.getppid(), signal.SIGKILL)"),
    Attack("kill_victim", "evaluation", "os.kill(C['victim'], signal.SIGTERM)"),
    Attack("kill_everybody", "init", "os.kill(-1, signal.SIGURG)"),
    Attack("kill_group", "init", "os.killpg(os.getpgid(0), signal.SIGURG)"),
    Attack(
        "signal_by_queue", "init", "call('rt_sigqueueinfo', C['victim'], 15, ctypes.c_void_p())"
    ),
    Attack(
        "signal_by_descriptor_owner",
        "training",
        """
        import fcntl
        reader, writer = os.pipe()
        fcntl.fcntl(reader, fcntl.F_SETOWN, C["victim"])
        fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        os.write(writer, b"x")
        """,
    ),
    Attack(
        "pidfd", "init", "signal.pidfd_send_signal(os.pidfd_open(C['victim']), signal.SIGTERM)"
    ),
    Attack("ptrace", "init", "call('ptrace', 16, C['victim'], 0, 0)"),
    Attack("traceme", "init", "call('ptrace', 0, 0, 0, 0)"),
    Attack(
        "process_vm_writev",
        "training",
        """
        text = ctypes.create_string_buffer(b"changed!")
        local = struct.pack("2Q", ctypes.addressof(text), 8)
        remote = struct.pack("2Q", C["address"], 8)
        call("process_vm_writev", C["parent"], local, 1, remote, 1, 0)
        """,
    ),
    Attack("renice", "setup", "os.setpriority(os.PRIO_PROCESS, C['victim'], 19)"),
    Attack("affinity_of_victim", "setup", "os.sched_setaffinity(C['victim'], {0})"),
    Attack(
        "limits_of_victim",
        "setup",
        """
        import resource
        resource.prlimit(C["victim"], resource.RLIMIT_CPU, (1, 1))
        """,
    ),
    Attack("new_session", "init", "os.setsid()"),
    Attack("outlive_supervisor", "init", "assert not libc.prctl(1, 0, 0, 0, 0), 'EPERM'"),
    Attack("be_traceable", "init", "assert not libc.prctl(4, 1, 0, 0, 0), 'EPERM'"),
)
