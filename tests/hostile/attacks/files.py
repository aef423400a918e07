"""Files and the environment: reading what is not theirs, and leaving things behind."""

from tests.hostile.attack import Attack

ATTACKS = (
    Attack(
        "read_secret",
        "init",
        "raise ValueError(open(C['secret']).read())",
        harms_when_weak=True,
    ),
    Attack("read_secret_by_dots", "import", "open('../' * 30 + C['secret'][1:]).read()"),
    Attack("read_labels", "training", "open(C['labels'], 'rb').read()"),
    Attack("read_passwd", "evaluation", "open('/etc/passwd').read()"),
    Attack("list_root", "setup", "os.listdir('/')"),
    Attack(
        "read_key_from_environment",
        "init",
        "raise ValueError(os.environ['DELTANAS_CANARY'])",
        reason="KeyError",
    ),
    Attack(
        "read_key_from_environment_by_libc",
        "init",
        """
        libc.getenv.restype = ctypes.c_char_p
        raise ValueError(libc.getenv(b"DELTANAS_CANARY"))
        """,
        reason="ValueError: None",
    ),
    Attack(
        "read_environment_of_parent",
        "evaluation",
        "open(f'/proc/{C[\"parent\"]}/environ', 'rb').read()",
    ),
    Attack(
        "read_memory_of_supervisor",
        "training",
        "open(f'/proc/{os.getppid()}/maps').read()",
    ),
    Attack(
        "write_memory_of_parent",
        "training",
        """
        with open(f"/proc/{C['parent']}/mem", "r+b", buffering=0) as memory:
            memory.seek(C["address"])
            memory.write(b"changed!")
        """,
    ),
    Attack(
        "write_file",
        "import",
        "open(C['folder'] + '/evil', 'w').close()",
        harms_when_weak=True,
    ),
    Attack(
        "drop_pth_file", "init", "open(torch.__path__[0] + '/../evil.pth', 'w').write('import os')"
    ),
    Attack("overwrite_source_of_torch", "init", "open(torch.__file__, 'a').write('x = 1')"),
    Attack("delete_file", "training", "os.unlink(C['secret'])", harms_when_weak=True),
    Attack("rename_file", "training", "os.rename(C['secret'], C['folder'] + '/other')"),
    Attack("truncate_file", "setup", "os.truncate(C['secret'], 0)"),
    Attack("open_for_truncation", "setup", "os.open(C['secret'], os.O_RDONLY | os.O_TRUNC)"),
    Attack("chmod_file", "init", "os.chmod(C['secret'], 0o777)"),
    Attack("chown_file", "init", "os.chown(C['secret'], 0, 0)"),
    Attack("set_times", "init", "os.utime(C['secret'], (0, 0))"),
    Attack("set_attribute", "init", "os.setxattr(C['secret'], b'user.x', b'y')"),
    Attack("symlink", "evaluation", "os.symlink('/etc', C['folder'] + '/link')"),
    Attack("hardlink", "evaluation", "os.link(C['secret'], C['folder'] + '/link')"),
    Attack("make_folder", "import", "os.mkdir(C['folder'] + '/sub')"),
    Attack("make_pipe_file", "import", "os.mkfifo(C['folder'] + '/pipe')"),
    Attack("fill_shared_memory", "training", "open('/dev/shm/deltanas-evil', 'wb')"),
    Attack("memory_file", "training", "os.write(os.memfd_create('bomb'), bytes(2**20))"),
    Attack("torch_save", "evaluation", "torch.save(network.state_dict(), C['folder'] + '/w')"),
    Attack(
        "from_file_mapping",
        "training",
        "torch.from_file(C['secret'], shared=True, size=4, dtype=torch.uint8)",
    ),
    Attack(
        "open_by_handle",
        "init",
        "call('open_by_handle_at', -100, ctypes.create_string_buffer(200), 0)",
    ),
    Attack("run_in_learn", "learn", "open(C['folder'] + '/evil', 'w').close()", reason="^$"),
)
