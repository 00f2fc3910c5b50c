"""What may lie about where the command runs, for `benchmarks/matrix.py`: variables, settings files, streams, folders."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support.commands import ROOT
from support.forge import sorted_rows

ONE = ("--network", "demo", "--layers", "block1_conv1", "--filters", "0-1", "--steps", "2")
SPREAD = (
    "random",
    "datasets",
    "h5py",
    "numpy",
    "re",
    "subprocess",
    "keras",
    "json",
    "typing",
    "tensorflow",
    "PIL",
)
"""Modules that lie beside. Not `sitecustomize`, which Python itself runs where PYTHONPATH means the current folder."""
_DROPPED = ("KERAS_", "JAX_", "TF_", "XLA_", "HF_", "MPL")


@dataclass
class Place:
    """A folder with a home in it, where commands run."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    before: str = ""
    """Shell commands that come before, in the same shell, such as `ulimit -n 64`."""
    behind: str = ""
    """What stands behind each command, such as `<&-`."""
    out: str = "made"

    def __post_init__(self) -> None:
        (self.folder / "home").mkdir(parents=True, exist_ok=True)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command here, with a home of its own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_DROPPED)}
        variables = {"HOME": str(self.folder / "home"), "PYTHONPATH": str(ROOT / "builder"), "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = f"{self.before}\n{shlex.join([sys.executable, '-m', 'amaxds', *words])} {self.behind}"
        given = kept | variables | self.variables
        given = {name: value for name, value in given.items() if value != "unset"}
        return subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=given, capture_output=True, text=True, errors="replace", timeout=600
        )

    @property
    def made(self) -> Path:
        """Where the dataset is, as seen from here."""
        out = self.out.replace("~", str(self.folder / "home"), 1) if self.out.startswith("~/") else self.out
        return self.folder / out.removeprefix(f"file://{self.folder}/")

    def build(self, backend: str) -> tuple[str, ...]:
        """The pixels of the small build with that backend; it must succeed."""
        self.variables, self.out = {"KERAS_BACKEND": backend}, f"made-{backend}"
        ended = self.run("build", self.out, *ONE)
        assert ended.returncode == 0, ended.stderr
        return self.pixels()

    def pixels(self) -> tuple[str, ...]:
        return tuple(row["pixels_sha256"] for row in sorted_rows(self.made, "clear"))


Prepare = Callable[[Place], None]


@dataclass(frozen=True)
class Surrounding:
    """One thing that is unusual. refused: words of the refusal that it has to get; None where all has to work."""

    variables: Mapping[str, str] = field(default_factory=dict)
    prepare: Prepare = lambda place: None
    refused: str | None = None
    recorded: str | None = None
    """What `build.json` has to contain where the pixels are others."""
    backend: str = "tensorflow"

    def outcome(self, folder: Path, pixels: Mapping[str, tuple[str, ...]]) -> tuple[str, str]:
        """What becomes of a build, a validation and a report here: right, refused, unexpected or wrong, and what was seen."""
        place = Place(folder)
        place.variables |= {name: value.replace("HERE", str(folder)) for name, value in self.variables.items()}
        self.prepare(place)
        for words in (("build", place.out, *ONE), ("validate", place.out), ("report", place.out, "report", "--no-neighbours")):
            ended = place.run(*words)
            if ended.returncode == 0:
                continue
            lines = [line for line in ended.stderr.strip().splitlines() if line][-2:]
            said = f"{words[0]} ({ended.returncode}): {' '.join(lines)}{'' if lines else ended.stdout[-200:]}"
            if ended.returncode not in (2, 3) or "Traceback" in ended.stderr or "unexpected" in ended.stderr:
                return "unexpected", said
            if len(lines) < 2 or not lines[0].startswith("amaxds: "):
                return "wrong", f"no two lines: {said}"
            if self.refused is None:
                return "refused", said
            return ("right", "") if self.refused in said else ("wrong", f"{said} does not say {self.refused!r}")
        if self.refused is not None:
            return "wrong", f"accepted, and was to be refused for {self.refused}"
        stored = (place.made / "build.json").read_text("utf-8")
        if place.pixels() != pixels[self.backend] and (self.recorded is None or self.recorded not in stored):
            return "wrong", "other pixels, and build.json does not say why"
        return "right", ""


def _keras_json(**settings: object) -> Prepare:
    def prepare(place: Place) -> None:
        (place.folder / "home" / ".keras").mkdir()
        (place.folder / "home" / ".keras" / "keras.json").write_text(json.dumps(settings))

    return prepare


def _file(name: str, text: str) -> Prepare:
    def prepare(place: Place) -> None:
        (place.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (place.folder / name).write_text(text)

    return prepare


def _shell(before: str = "", behind: str = "") -> Prepare:
    def prepare(place: Place) -> None:
        place.before, place.behind = before, behind

    return prepare


def _out(out: str) -> Prepare:
    def prepare(place: Place) -> None:
        place.out = out.replace("HERE", str(place.folder))

    return prepare


def _beside(place: Place) -> None:
    for name in SPREAD:
        (place.folder / f"{name}.py").write_text("raise SystemExit('run')\n")


def _in_a_folder(name: bytes) -> Prepare:
    def prepare(place: Place) -> None:
        place.folder = place.folder / os.fsdecode(name)
        place.__post_init__()

    return prepare


def _linked(place: Place) -> None:
    (place.folder / "elsewhere").mkdir()
    (place.folder / place.out).symlink_to("elsewhere", target_is_directory=True)


BROKEN = "http://127.0.0.1:9"
SURROUNDINGS: dict[str, Surrounding] = {
    "keras.json: float16": Surrounding(prepare=_keras_json(floatx="float16")),
    "keras.json: float64": Surrounding(prepare=_keras_json(floatx="float64")),
    "keras.json: bfloat16": Surrounding(prepare=_keras_json(floatx="bfloat16"), refused="bfloat16"),
    "keras.json: channels first": Surrounding(prepare=_keras_json(image_data_format="channels_first")),
    "keras.json: epsilon": Surrounding(prepare=_keras_json(epsilon=0.5)),
    "keras.json: flax": Surrounding(prepare=_keras_json(nnx_enabled=True)),
    "keras.json: jax": Surrounding(prepare=_keras_json(backend="jax"), backend="jax"),
    "keras.json: torch": Surrounding(prepare=_keras_json(backend="torch"), refused="torch"),
    "keras.json: no JSON": Surrounding(prepare=_file("home/.keras/keras.json", "{")),
    "KERAS_BACKEND empty": Surrounding({"KERAS_BACKEND": ""}),
    "KERAS_BACKEND unknown": Surrounding({"KERAS_BACKEND": "abacus"}, refused="abacus"),
    "KERAS_MAX_EPOCHS": Surrounding({"KERAS_MAX_EPOCHS": "0", "KERAS_MAX_STEPS_PER_EPOCH": "one"}),
    "KERAS_HOME that cannot be": Surrounding({"KERAS_HOME": "/dev/null/keras"}),
    "TF_ENABLE_ONEDNN_OPTS": Surrounding({"TF_ENABLE_ONEDNN_OPTS": "0"}, recorded="TF_ENABLE_ONEDNN_OPTS"),
    "TF_NUM_INTRAOP_THREADS": Surrounding({"TF_NUM_INTRAOP_THREADS": "7", "TF_NUM_INTEROP_THREADS": "many"}),
    "TF_DETERMINISTIC_OPS": Surrounding({"TF_DETERMINISTIC_OPS": "maybe"}),
    "TF_CPP_MIN_LOG_LEVEL": Surrounding({"TF_CPP_MIN_LOG_LEVEL": "0"}),
    "TF_XLA_FLAGS unknown": Surrounding({"TF_XLA_FLAGS": "--tf_xla_abacus=1"}, refused="abacus"),
    "XLA_FLAGS unknown": Surrounding({"XLA_FLAGS": "--xla_abacus"}, refused="abacus"),
    "XLA_FLAGS: fast math": Surrounding({"XLA_FLAGS": "--xla_cpu_enable_fast_math=true"}, recorded="fast_math"),
    "XLA_FLAGS: a file": Surrounding(
        {"XLA_FLAGS": "HERE/flags"}, prepare=_file("flags", "--xla_cpu_enable_fast_math=true"), recorded="fast_math"
    ),
    "XLA_FLAGS: no file": Surrounding({"XLA_FLAGS": "HERE/none"}, refused="XLA_FLAGS"),
    "JAX: double precision": Surrounding(
        {"KERAS_BACKEND": "jax", "JAX_ENABLE_X64": "1"}, backend="jax", recorded="JAX_ENABLE_X64"
    ),
    "JAX: not compiled": Surrounding({"KERAS_BACKEND": "jax", "JAX_DISABLE_JIT": "1"}, backend="jax"),
    "JAX: low precision": Surrounding({"KERAS_BACKEND": "jax", "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16"}, backend="jax"),
    "JAX: no platform": Surrounding({"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "abacus"}, refused="abacus"),
    "OMP_NUM_THREADS": Surrounding({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "x"}),
    "threads of other libraries": Surrounding(
        {"MKL_NUM_THREADS": "1", "NUMEXPR_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
    ),
    "oneDNN for another processor": Surrounding({"ONEDNN_MAX_CPU_ISA": "SSE41"}, recorded="ONEDNN_MAX_CPU_ISA"),
    "XLA: no threads": Surrounding({"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}, recorded="xla_cpu_multi_thread_eigen"),
    "TF_XLA_FLAGS": Surrounding({"TF_XLA_FLAGS": "--tf_xla_auto_jit=2"}, recorded="TF_XLA_FLAGS"),
    "CUDA_VISIBLE_DEVICES": Surrounding({"CUDA_VISIBLE_DEVICES": "99"}),
    "MPLBACKEND of a notebook": Surrounding({"MPLBACKEND": "module://matplotlib_inline.backend_inline"}),
    "MPLBACKEND unknown": Surrounding({"MPLBACKEND": "abacus"}),
    "matplotlibrc": Surrounding(prepare=_file("matplotlibrc", "savefig.dpi: 7\ntext.usetex: True\nbackend: abacus\n")),
    "matplotlibrc in the home": Surrounding(prepare=_file("home/.config/matplotlib/matplotlibrc", "font.size: 99\n")),
    "MATPLOTLIBRC missing": Surrounding({"MATPLOTLIBRC": "HERE/none"}),
    "MPLCONFIGDIR that cannot be": Surrounding({"MPLCONFIGDIR": "/dev/null/mpl"}),
    "modules beside": Surrounding(prepare=_beside),
    "modules beside, PYTHONPATH open": Surrounding({"PYTHONPATH": f":{ROOT / 'builder'}:"}, prepare=_beside),
    "PYTHONWARNINGS=error": Surrounding({"PYTHONWARNINGS": "error"}),
    "PYTHONOPTIMIZE": Surrounding({"PYTHONOPTIMIZE": "2"}),
    "PYTHONHASHSEED": Surrounding({"PYTHONHASHSEED": "1"}),
    "PYTHONUTF8=0 in C": Surrounding({"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}),
    "PYTHONIOENCODING": Surrounding({"PYTHONIOENCODING": "ascii:strict"}),
    "PYTHONDEVMODE": Surrounding({"PYTHONDEVMODE": "1"}),
    "HF_HUB_OFFLINE": Surrounding({"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}),
    "HF numbers that are none": Surrounding({"HF_HUB_DOWNLOAD_TIMEOUT": "abc", "HF_DATASETS_IN_MEMORY_MAX_SIZE": "all"}),
    "HF_HOME that cannot be": Surrounding({"HF_HOME": "/dev/null/hf"}),
    "HF_TOKEN of two lines": Surrounding({"HF_TOKEN": "hf_one\nhf_two"}),
    "DATASETS_VERBOSITY": Surrounding({"DATASETS_VERBOSITY": "loud", "HF_HUB_VERBOSITY": "loud"}),
    "KAGGLE_API_TOKEN of two lines": Surrounding({"KAGGLE_API_TOKEN": "KGAT_one\ntwo"}),
    "KAGGLE_CONFIG_DIR that cannot be": Surrounding({"KAGGLE_CONFIG_DIR": "/dev/null/kaggle"}),
    "proxies": Surrounding(dict.fromkeys(("http_proxy", "https_proxy", "ALL_PROXY"), BROKEN)),
    "a proxy of another kind": Surrounding({"ALL_PROXY": "socks5://127.0.0.1:9"}),
    "certificates that are not there": Surrounding({"SSL_CERT_FILE": "/none.pem", "REQUESTS_CA_BUNDLE": "/none.pem"}),
    "fsspec's settings": Surrounding(
        {"FSSPEC_CONFIG_DIR": "HERE/fsspec"}, prepare=_file("fsspec/a.json", "{"), refused="fsspec"
    ),
    "fsspec's variables": Surrounding({"FSSPEC_FILE": "{", "FSSPEC_LOCAL_AUTO_MKDIR": "maybe"}),
    "AWS variables": Surrounding({"AWS_PROFILE": "nobody", "AWS_CONFIG_FILE": "/dev/null/aws"}),
    "RAY_ADDRESS": Surrounding({"RAY_ADDRESS": "127.0.0.1:9"}),
    "no HOME": Surrounding({"HOME": "unset"}),
    "HOME that is not there": Surrounding({"HOME": "/none"}),
    "XDG_CACHE_HOME that cannot be": Surrounding({"XDG_CACHE_HOME": "/dev/null", "KERAS_BACKEND": "jax"}, backend="jax"),
    "TMPDIR that is not there": Surrounding({"TMPDIR": "/none"}),
    "COLUMNS": Surrounding({"COLUMNS": "1", "LINES": "0"}),
    "TERM unknown": Surrounding({"TERM": "abacus"}),
    "TERM empty": Surrounding({"TERM": ""}),
    "FORCE_COLOR": Surrounding({"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}),
    "NO_COLOR": Surrounding({"NO_COLOR": "1"}),
    "a time zone": Surrounding({"TZ": "Pacific/Kiritimati"}),
    "another language": Surrounding({"LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8", "LANGUAGE": "tr"}),
    "input closed": Surrounding(prepare=_shell(behind="<&-")),
    "output closed": Surrounding(prepare=_shell(behind=">&-")),
    "errors closed": Surrounding(prepare=_shell(behind="2>&-")),
    "all closed": Surrounding(prepare=_shell(behind="<&- >&- 2>&-")),
    "few open files": Surrounding(prepare=_shell("ulimit -n 64")),
    "hardly any open files": Surrounding(prepare=_shell("ulimit -n 16")),
    "small files": Surrounding(prepare=_shell("ulimit -f 20"), refused="File too large"),
    "a small stack": Surrounding(prepare=_shell("ulimit -s 512")),
    "4 GB of addresses": Surrounding(prepare=_shell("ulimit -v 4000000")),
    "1 GB of data": Surrounding(prepare=_shell("ulimit -d 1000000"), refused="memory"),
    "one core": Surrounding(prepare=_shell("taskset -cp 0 $$ > /dev/null")),
    "the other core": Surrounding(prepare=_shell("taskset -cp 1 $$ > /dev/null")),
    "least priority": Surrounding(prepare=_shell("renice -n 19 $$ > /dev/null")),
    "umask 077": Surrounding(prepare=_shell("umask 077")),
    "umask 777": Surrounding(prepare=_shell("umask 777")),
    "SIGPIPE ignored": Surrounding(prepare=_shell("trap '' PIPE")),
    "SIGINT ignored": Surrounding(prepare=_shell("trap '' INT HUP")),
    "a folder that is gone": Surrounding(prepare=_shell("mkdir -p gone && cd gone && rmdir ../gone"), refused="folder"),
    "a parent that is not UTF-8": Surrounding(prepare=_in_a_folder(b"caf\xe9")),
    "a parent with blanks and signs": Surrounding(prepare=_in_a_folder(b"a b'c$d&e")),
    "a parent with a long name": Surrounding(prepare=_in_a_folder(b"n" * 200)),
    "OUT in the home": Surrounding(prepare=_out("~/made")),
    "OUT as a URL": Surrounding(prepare=_out("file://HERE/made")),
    "OUT with a blank": Surrounding(prepare=_out("made here")),
    "OUT in Greek": Surrounding(prepare=_out("φίλτρα")),
    "OUT that begins with a dash": Surrounding(prepare=_out("./-made")),
    "OUT with ::": Surrounding(prepare=_out("a::b"), refused="OUT"),
    "OUT with a star": Surrounding(prepare=_out("made*"), refused="OUT"),
    "OUT of two lines": Surrounding(prepare=_out("two\nlines"), refused="OUT"),
    "OUT too long": Surrounding(prepare=_out("n" * 300), refused="name"),
    "OUT is a link": Surrounding(prepare=_linked),
    "OUT is a device": Surrounding(prepare=_out("/dev/null"), refused="/dev/null"),
}
