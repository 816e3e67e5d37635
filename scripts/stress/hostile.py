"""Files that try to run, write, send or leak something, given to every command that reads such a file."""

import io
import itertools
import json
import os
import pickle
import struct
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from scripts.stress._command import TINY, Command, context, enter
from segtrain.commands.made_by import GIT_STATUS
from segtrain.engine.checkpoint import BEST, Checkpoint, load, save

PROMISE = "A checkpoint is data: no hostile target, interpolation, pickle or archive does anything"
FULL, SAMPLE = 100, 5

NUMBERS = itertools.count()
CANARY = "canary-of-the-environment"
# Each with arguments that would leave MARK; several are what Hydra 1.3.8's own block-list lets through.
TARGETS = """
os.system posix.system os.popen os.execv os.spawnv os.remove os.mkdir builtins.eval builtins.exec
builtins.open builtins.__import__ io.open subprocess.Popen subprocess.run subprocess.call
subprocess.check_output pty.spawn pathlib.Path.touch pathlib.Path.write_text
pathlib.PosixPath.write_bytes shutil.rmtree shutil.copy shutil.os.system logging.os.system
logging.config.dictConfig logging.FileHandler site.addpackage runpy.run_path runpy.run_module
importlib.import_module importlib.machinery.SourceFileLoader code.interact pdb.run cProfile.run
timeit.timeit pickle.loads pickle.load marshal.loads shelve.open webbrowser.GenericBrowser
asyncio.create_subprocess_shell asyncio.run setuptools._distutils.spawn.spawn ctypes.CDLL
multiprocessing.Process threading.Thread socket.create_connection urllib.request.urlopen torch.load
torch.hub.load torch.jit.load torch.utils.collect_env.run torch.save numpy.load numpy.save numpy.savetxt
numpy.memmap hydra.utils.instantiate hydra.utils.get_method omegaconf.OmegaConf.save
segtrain.engine.checkpoint.save segtrain.models.fcn.os.system segtrain.cli.sweep.Comparison
hostile_module.run
""".split()
NODES = {
    "interpolation": {"root": "${oc.env:SEGTRAIN_CANARY}"},
    "decoded": {"root": "${oc.decode:'[1]'}"},
    "partial": {"_partial_": True},
    "arguments": {"_args_": ["touch MARK"]},
    "target list": {"_target_": ["os.system"]},
    "target number": {"_target_": 3},
    "deep": json.loads("[" * 300 + "]" * 300),
    "nothing": None,
    "text": "os.system",
}


def run(count: int, seed: int, folder: Path) -> str:
    trained = Command("segtrain", [*TINY, "max_steps=2", "hydra.run.dir=run"], folder).finish()
    assert trained.code == 0, trained.err
    good = load(folder / "run/checkpoints" / BEST)
    mark = folder / "MARK"
    files = make_files(good, folder / "files", mark)
    order = np.random.default_rng(seed).permutation(len(files))[:count]
    chosen = [files[i] for i in sorted(order)]
    child = context.Process(target=try_all, args=(chosen, folder))
    child.start()
    child.join()
    assert child.exitcode == 0, (folder / "stderr.txt").read_text()
    calls = json.loads((folder / "calls.json").read_text())
    for call in calls:
        case = f"{call['arguments']}, seed {seed}"
        assert not call["seen"], f"{call['seen'][0]}: {case}"
        assert call["code"] == call["wanted"], f"exit code {call['code']}, {call['err']}: {case}"
        assert "Traceback" not in call["err"], f"{call['err']}: {case}"
    assert not mark.exists(), "one of the files was executed"
    leaks = [p for p in folder.rglob("*") if p.is_file() and CANARY.encode() in p.read_bytes()]
    assert not leaks, f"the environment is in {leaks[0]}"
    refused = sum(call["wanted"] == 2 for call in calls)
    loaded = len(calls) - refused
    return (
        f"{len(chosen)} files in {refused} calls: 0 executions, writes, leaks; {loaded} good calls go through"
    )


Case = tuple[Path, list[str]]  # a file, and the keys by which commands read it


def make_files(good: Checkpoint, folder: Path, mark: Path) -> list[Case]:
    """Hostile files that are checkpoints in form, and others that are none."""
    folder.mkdir()
    cases: list[Case] = []
    config = good.meta["config"]
    for i, target in enumerate(TARGETS):
        group = ("model", "data", "inference", "dense_crf")[i % 4]
        node = {"_target_": target, "self": str(mark), "command": f"touch {mark}", "num_classes": 7}
        cases.append(config_case(good, config | {group: node}, folder / f"target_{i}.ckpt"))
        nested = config["model"] | {"dropout": node}
        if i % 8 == 0:  # deep inside a node that is our own
            cases.append(config_case(good, config | {"model": nested}, folder / f"inner_{i}.ckpt"))
    for name, node in NODES.items():
        file = folder / f"{name.replace(' ', '_')}.ckpt"
        cases.append(config_case(good, config | {"data": node}, file))
    for name, meta in odd_metadata(good).items():
        save(Checkpoint(good.tensors, meta), folder / f"{name}.ckpt")
        cases.append((folder / f"{name}.ckpt", ["ckpt"]))
    for name, content in foreign(mark).items():
        for suffix in (".ckpt", ".pth", ".npz", ".safetensors"):
            path = folder / f"{name}{suffix}"
            path.write_bytes(content)
            cases.append((path, ["ckpt", "resume", "init_from", "weights", "pretrained"]))
    return cases


def config_case(good: Checkpoint, config: dict, path: Path) -> Case:
    save(Checkpoint(good.tensors, good.meta | {"config": config}), path)
    return path, ["ckpt"]


def odd_metadata(good: Checkpoint) -> dict[str, dict]:
    meta = good.meta
    without = {
        f"without_{key}": {k: v for k, v in meta.items() if k != key} for key in ("config", "class_names")
    }
    odd = {"config": [], "class_names": 7, "palette": "red", "step": "many"}
    return without | {f"odd_{key}": meta | {key: value} for key, value in odd.items()}


class Bomb:
    """What an unpickler would run."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def foreign(mark: Path) -> dict[str, bytes]:
    """Pickles and archives, by their name."""
    files = {"pickle": pickle.dumps(Bomb(mark)), "nothing": b"", "text": b"not a checkpoint\n"}
    for name, new in (("legacy", False), ("zip", True)):
        buffer = io.BytesIO()
        torch.save({"model": Bomb(mark)}, buffer, _use_new_zipfile_serialization=new)
        files[f"torch_{name}"] = buffer.getvalue()
    buffer = io.BytesIO()
    np.savez(buffer, array=np.array([Bomb(mark)], dtype=object))
    files["npz_of_objects"] = buffer.getvalue()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("../../MARK")
        archive.addfile(entry, io.BytesIO())
    files["tar"] = buffer.getvalue()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../MARK", "x")
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb(mark)))
    files["zip_that_climbs"] = buffer.getvalue()
    files["huge_header"] = struct.pack("<Q", 2**62) + b"{}"
    nested = ("[" * 50_000 + "]" * 50_000).encode()
    files["nested_header"] = struct.pack("<Q", len(nested)) + nested
    return files


def try_all(cases: list[Case], folder: Path) -> None:
    """In a process of its own: every file to every command that reads it, under watch."""
    os.environ["SEGTRAIN_CANARY"] = CANARY
    (folder / "cwd/tmp").mkdir(parents=True)
    os.environ["TMPDIR"] = str(folder / "cwd/tmp")
    import matplotlib.font_manager  # makes its folders and looks for fonts, once a machine

    matplotlib.get_configdir()
    (folder / "cwd/hostile_module.py").write_text(f"open({str(folder / 'MARK')!r}, 'w')\n")
    sys.path.insert(0, str(folder / "cwd"))
    Image.new("RGB", (40, 32)).save(folder / "image.png")
    watch = Watch(folder)
    sys.addaudithook(watch)
    calls = [one(command(key, path), 2, folder, watch) for path, keys in cases for key in keys]
    good = folder / "run/checkpoints/best.ckpt"
    calls += [one(command(key, good), 0, folder, watch) for key in ("ckpt", "predict", "init_from", "resume")]
    (folder / "calls.json").write_text(json.dumps(calls))


def command(key: str, path: Path) -> list[str]:
    """A command that reads `path` by that key."""
    if key == "weights":
        return ["segimport", "format=torchvision", f"weights={path}", "model=fcn8s", "width=0.0625"]
    if key == "predict":
        return ["segpredict", f"ckpt={path}", f"input={path.parent.parent.parent}/image.png", "device=cpu"]
    if key == "ckpt":
        # numba would read the code that it keeps for the user, by pickle
        crf = ["crf=true", "dense_crf.backend=torch"]
        return ["segeval", f"ckpt={path}", *crf, "num_workers=0", "device=cpu"]
    if key == "pretrained":
        tiny = [word for word in TINY if word != "model=unet"]
        return ["segtrain", *tiny, "model=fcn32s", f"model.backbone.pretrained={path}", "max_steps=2"]
    last = path.with_name("last.ckpt") if key == "resume" and path.name == BEST else path
    return ["segtrain", *TINY, "max_steps=2", f"{key}={last}"]


def one(words: list[str], wanted: int, folder: Path, watch: "Watch") -> dict:
    name, *arguments = words
    watch.seen, code = [], 0
    with watch:
        try:
            here = f"{folder}/cwd/{name}_{next(NUMBERS)}"  # another run's folder would be refused
            enter(name, [*arguments, f"hydra.run.dir={here}"], folder / "cwd")
        except SystemExit as stop:
            code = stop.code or 0
        except Exception as error:
            code, watch.seen = 1, [f"{type(error).__name__}: {error}", *watch.seen]
    err = (folder / "cwd/stderr.txt").read_text()
    return {"arguments": words, "code": code, "wanted": wanted, "seen": watch.seen, "err": err}


class Watch:
    """An audit hook: what runs, sends, unpickles a name, or writes outside of the run's folder."""

    RUNS = ("os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.fork", "subprocess.Popen", "pty.spawn")
    SENDS = ("socket.connect", "socket.getaddrinfo", "urllib.Request", "webbrowser.open", "pickle.find_class")
    CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.link", "os.symlink")

    def __init__(self, folder: Path):
        compiled = os.path.join(
            os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "segtrain"
        )
        self.inside, self.seen, self.on = (str(folder / "cwd"), compiled, "/dev/", "/proc/"), [], False

    def __enter__(self) -> None:
        self.on = True

    def __exit__(self, *_) -> None:
        self.on = False

    def __call__(self, event: str, arguments: tuple) -> None:
        if not self.on:
            return
        ours = event == "subprocess.Popen" and list(arguments[1]) == GIT_STATUS  # of the working directory
        if event in (*self.RUNS, *self.SENDS) and not ours:
            self.seen.append(f"{event} {arguments}"[:300])
        writes = (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if writes or event in self.CHANGES:
            self.change(event, arguments)

    def change(self, event: str, arguments: tuple) -> None:
        path = arguments[0]
        if isinstance(path, str | bytes | os.PathLike):
            full = os.path.abspath(os.fsdecode(path))
            own = full.startswith(self.inside) or "__pycache__" in full
            if not own:
                self.seen.append(f"{event} {full}")
