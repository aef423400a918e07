"""Results: being scored for what was not learned."""

from deltanas.records import Verdict
from tests.hostile.attack import Attack

_CLAIM = """
header = {"verdict": "trained", "reason": "", "parameters": 1, "macs": 1}
row = b"\\0\\x3c" + b"\\0\\0" * 9
"""
_SEND = """
text = json.dumps(header).encode()
for descriptor in open_descriptors()[3:]:
    os.write(descriptor, len(text).to_bytes(4, "big") + text + row * C["rows"])
os._exit(0)
"""


def _trained(name: str, phase: str, body: str, reason: str = "^$") -> Attack:
    """An attack that changes nothing: the network trains and is scored as any other."""
    return Attack(name, phase, body, verdict=Verdict.TRAINED, reason=reason)  # type: ignore[arg-type]


def _killed(name: str, phase: str, body: str, reason: str = "before it answered") -> Attack:
    return Attack(name, phase, body, verdict=Verdict.KILLED, reason=reason)  # type: ignore[arg-type]


ATTACKS = (
    _trained(
        "print_a_result",
        "init",
        'print(json.dumps({"verdict": "trained", "proxy_accuracy": 1.0}), flush=True)',
    ),
    _trained("patch_argmax", "training", "torch.Tensor.argmax = lambda s, *a, **k: torch.ones(1)"),
    _trained(
        "patch_equality",
        "evaluation",
        "torch.Tensor.__eq__ = lambda s, o: torch.ones(s.shape, dtype=torch.bool)",
    ),
    _trained(
        "patch_loss",
        "import",
        "nn.functional.cross_entropy = lambda logits, *a, **k: logits.sum() * 0",
    ),
    _trained(
        "patch_clock", "import", "time.time = time.monotonic = time.perf_counter = lambda: 0.0"
    ),
    _trained("patch_write", "training", "os.write = lambda descriptor, data: len(data)"),
    _trained("patch_exit", "training", "os._exit = lambda code: None"),
    _killed("patch_json", "training", "json.dumps = lambda *a, **k: '[' * 60_000"),
    _trained("answer_early", "training", _CLAIM + _SEND),
    _killed("answer_at_import", "import", _CLAIM + _SEND, "bytes of logits"),
    _killed("answer_the_check", "import", _CLAIM + "C['rows'] = 0" + _SEND, "bytes of logits"),
    _killed(
        "claim_infrastructure", "init", _CLAIM + "header['verdict'] = 'infrastructure'" + _SEND
    ),
    _killed("claim_timeout", "init", _CLAIM + "header['verdict'] = 'timed_out'" + _SEND),
    _killed("claim_no_network", "init", _CLAIM + "header['parameters'] = -1" + _SEND),
    _killed("claim_beyond_limits", "init", _CLAIM + "header['parameters'] = 10**15" + _SEND),
    _killed("claim_infinity", "init", _CLAIM + "header['macs'] = float('inf')" + _SEND),
    _killed("one_row_too_many", "training", _CLAIM + "C['rows'] += 1" + _SEND, "bytes of logits"),
    _killed(
        "deep_header",
        "training",
        """
        for descriptor in open_descriptors()[3:]:
            os.write(descriptor, (60_000).to_bytes(4, "big") + b"[" * 60_000)
        os._exit(0)
        """,
    ),
    _killed(
        "endless_header",
        "training",
        """
        for descriptor in open_descriptors()[3:]:
            os.write(descriptor, b"\\xff\\xff\\xff\\xff{")
        os._exit(0)
        """,
    ),
    _killed(
        "pickle_for_parent",
        "training",
        """
        import pickle

        class Evil:
            def __reduce__(self):
                return os.mkdir, (C["folder"] + "/evil",)

        for descriptor in open_descriptors()[3:]:
            os.write(descriptor, pickle.dumps(Evil()))
        os._exit(0)
        """,
    ),
    _killed(
        "walk_frames_to_the_logits",
        "evaluation",
        """
        frame = sys._getframe()
        while frame is not None:
            module = frame.f_locals.get("self")
            if type(module).__name__ == "CandidateModule":
                module.test_logits = [b"\\0\\x3c" * 10**4]
            frame = frame.f_back
        """,
        "bytes of logits",
    ),
    Attack(
        "hunt_for_labels",
        "evaluation",
        """
        sets = []
        frame = sys._getframe()
        values = gc.get_objects()
        while frame is not None:
            values += list(frame.f_locals.values())
            data = frame.f_locals.get("data") or getattr(frame.f_locals.get("self"), "data", None)
            values += [getattr(data, name, None) for name in dir(data) if name[0] != "_"]
            frame = frame.f_back
        for value in values:
            if isinstance(value, torch.Tensor) and value.ndim == 1 and len(value) in C["splits"]:
                if not value.is_floating_point() and value.max() < 10:  # rows of images go higher
                    sets.append(len(value))
        raise ValueError(f"{len(sets)} sets of held-out labels")
        """,
        reason="ValueError: 0 sets",
    ),
    Attack(
        "answers_of_others",  # copied, they would earn another network's score
        "import",
        """
        frame, found = sys._getframe(), []
        while frame is not None:
            found += [v for v in frame.f_locals.values() if isinstance(v, (bytes, memoryview))]
            frame = frame.f_back
        answers = [value for value in found if b'"verdict"' in bytes(value)]
        raise ValueError(f"{len(answers)} answers of others")
        """,
        reason="ValueError: 0 answers",
    ),
    _trained(
        "change_the_images",
        "training",
        """
        for value in gc.get_objects():
            if type(value) is torch.Tensor and value.dtype == torch.uint8:
                value.zero_()
        """,
    ),
    Attack(
        "answer_nan",
        "evaluation",
        "return torch.full((len(x), 10), float('nan'))",
        verdict=Verdict.DIVERGED,
        reason="NaN or infinity",
    ),
    _trained(
        "answer_the_same",
        "evaluation",
        "return torch.eye(10)[:1].expand(len(x), 10)",
        "its answers are probabilities",
    ),
    Attack(
        "answer_truth_values",
        "evaluation",
        "return torch.ones(len(x), 10, dtype=torch.bool)",
        reason="torch.bool",
    ),
    Attack("answer_too_little", "evaluation", "return torch.ones(1, 10)", reason="maps .* images"),
    _killed(
        "lie_about_the_shape",
        "evaluation",
        """
        class Lie(torch.Tensor):
            shape = property(lambda self: torch.Size((len(x), 10)))

            @classmethod
            def __torch_function__(cls, function, types, args=(), kwargs=None):
                if function is torch.Tensor.float:
                    return torch.zeros(3, 10)
                return super().__torch_function__(function, types, args, kwargs)

        return torch.zeros(1).as_subclass(Lie)
        """,
        "bytes of logits",
    ),
)
