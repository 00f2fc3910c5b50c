"""Tools of the forger: read a sample, change it, and write everything that hangs on it again, consistently.

Nothing here comes from the code of the program: what hangs on what was found by looking at a dataset and its rules."""

import csv
import hashlib
import io
import json
import re
import statistics
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageFont

RF = {"block1_conv1": 3, "block2_conv2": 14, "block3_conv1": 24}
LAYERS = [
    "block1_conv1",
    "block1_conv2",
    "block2_conv1",
    "block2_conv2",
    "block3_conv1",
    "block3_conv2",
    "block3_conv3",
    "block4_conv1",
    "block4_conv2",
    "block4_conv3",
    "block5_conv1",
    "block5_conv2",
    "block5_conv3",
]
STATUS = ["alive", "dead"]
SPLITS = ("train", "validation", "test")
CDC = {"min_chunk_size": 262144, "max_chunk_size": 1048576, "norm_level": 0}
CDC_TEXT = json.dumps(CDC)
PARQUET = "original/%s-00000-of-00001.parquet"
SIG = b"\x89PNG\r\n\x1a\n"


def sha(b):
    return hashlib.sha256(b).hexdigest()


def dump(o):
    return json.dumps(o, indent=2) + "\n"


# ---------------------------------------------------------------- pixels
def pixels(png):
    return np.array(Image.open(io.BytesIO(png)).convert("RGB"))


def to_png(a):
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(a)).save(out, "PNG")
    return out.getvalue()


def index_of(a):
    n = a.shape[0] * a.shape[1]
    tv = []
    for c in range(3):
        h = np.bincount(a[..., c].ravel(), minlength=256) / n
        tv.append(float(np.abs(h - 1 / 256).sum() / 2 / (255 / 256)))
    return sum(tv) / 3


def hash_of(a):
    return sha(np.ascontiguousarray(a).tobytes())


def set_image(row, a, png=None):
    """Replace a record's image; hash and index redone."""
    row["png"] = to_png(a) if png is None else png
    row["uniformity_index"] = index_of(a)
    row["pixels_sha256"] = hash_of(a)
    row["pix"] = a


# ---------------------------------------------------------------- png
def chunks(png):
    out = []
    p = 8
    while p < len(png):
        n, t = struct.unpack(">I4s", png[p : p + 8])
        out.append((t, png[p + 8 : p + 8 + n]))
        p += 12 + n
    return out


def chunk(t, d, crc=None):
    return struct.pack(">I", len(d)) + t + d + struct.pack(">I", (zlib.crc32(t + d) & 0xFFFFFFFF) if crc is None else crc)


def unchunk(cs, tail=b""):
    return SIG + b"".join(chunk(t, d) for t, d in cs) + tail


def add_chunks(png, new, where="before"):
    """new: list of (type, data); where: before IDAT, after IDAT, or after IEND"""
    cs = chunks(png)
    out = []
    for t, d in cs:
        if where == "before" and t == b"IDAT" and new:
            out += new
            new = []
        if where == "after" and t == b"IEND":
            out += new
        out.append((t, d))
    if where == "end":
        out += new
    return unchunk(out)


def raw_rows(a, f=0):
    return b"".join(bytes([f]) + a[y].tobytes() for y in range(a.shape[0]))


def png_of(a, ihdr=None, raw=None, idat=None):
    h, w = a.shape[:2]
    ihdr = ihdr or struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0)
    idat = idat if idat is not None else zlib.compress(raw if raw is not None else raw_rows(a), 6)
    return unchunk([(b"IHDR", ihdr), (b"IDAT", idat), (b"IEND", b"")])


def adam7(a):
    h, w = a.shape[:2]
    raw = b""
    for x0, y0, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        s = a[y0::dy, x0::dx]
        if s.size:
            raw += raw_rows(np.ascontiguousarray(s))
    return png_of(a, struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 1), raw)


# ---------------------------------------------------------------- sheet
def draw_sheet(rows):
    layers = [l for l in LAYERS if any(r["layer"] == l for r in rows)]
    c = Image.new("RGB", (780, 451 - 147 * (3 - len(layers))), "white")
    d = ImageDraw.Draw(c)
    big, small = ImageFont.load_default(18), ImageFont.load_default(12)
    for k, l in enumerate(layers):
        y = k * 147
        R = sorted((r for r in rows if r["layer"] == l), key=lambda r: r["filter"])
        nd = sum(r["status"] == "dead" for r in R)
        d.text((10, y + 6), l, font=big, fill=(20, 20, 20))
        d.text(
            (136, y + 12),
            f"{len(R)} filters" + (f"  ·  {nd} dead" if nd else "") + f"  ·  receptive field {RF[l]} px",
            font=small,
            fill=(90, 90, 90),
        )
        for i, r in enumerate(R):
            x = 10 + 96 * i
            dead = r["status"] == "dead"
            if dead:
                d.rectangle((x - 3, y + 31, x + 90, y + 124), outline=(200, 30, 30), width=3)
            c.paste(Image.fromarray(r["pix"] if "pix" in r else pixels(r["png"])), (x, y + 34))
            d.text(
                (x, y + 124),
                f"{r['filter']} dead" if dead else str(r["filter"]),
                font=small,
                fill=(200, 30, 30) if dead else (90, 90, 90),
            )
    out = io.BytesIO()
    c.save(out, "PNG")
    return out.getvalue()


# ---------------------------------------------------------------- parquet
def make_table(rows, schema):
    cols = {
        "image": [{"bytes": r["png"], "path": r["path"]} for r in rows],
        "network": [r["network"] for r in rows],
        "layer": [LAYERS.index(r["layer"]) if isinstance(r["layer"], str) else r["layer"] for r in rows],
        "filter": [r["filter"] for r in rows],
        "recipe": [r["recipe"] for r in rows],
        "seed": [r["seed"] for r in rows],
        "status": [STATUS.index(r["status"]) if isinstance(r["status"], str) else r["status"] for r in rows],
    }
    for k in ("activation_start", "activation", "activation_rank", "uniformity_index", "pixels_sha256"):
        cols[k] = [r[k] for r in rows]
    return pa.table([pa.array(cols[f.name], f.type) for f in schema], schema=schema)


def leaf_paths(schema):
    b = io.BytesIO()
    pq.write_table(schema.empty_table(), b)
    s = pq.ParquetFile(io.BytesIO(b.getvalue())).schema
    return [s.column(i).path for i in range(len(s))]


def write_parquet(table, path, row_group_size=None, kv=None, **kw):
    paths = leaf_paths(table.schema)
    plain = [q for q in paths if not q.startswith("image.")]
    args = {
        "compression": {q: "none" if q.startswith("image.") else "snappy" for q in paths},
        "use_dictionary": plain,
        "write_statistics": True,
        "write_page_index": True,
        "use_content_defined_chunking": CDC,
    }
    args.update(kw)
    with open(path, "wb") as f:
        w = pq.ParquetWriter(f, table.schema, **args)
        w.write_table(table, row_group_size=row_group_size)
        w.add_key_value_metadata({"content_defined_chunking": CDC_TEXT, **(kv or {})})
        w.close()
    return path


def group_bytes(path, fallback=0):
    try:
        m = pq.ParquetFile(path).metadata
        return sum(m.row_group(i).total_byte_size for i in range(m.num_row_groups)), m.num_rows
    except (OSError, pa.ArrowException):  # A forgery that no reader takes.
        return None


# ---------------------------------------------------------------- the dataset folder
class Folder:
    def __init__(self, path):
        self.p = Path(path)
        self.build = json.loads((self.p / "build.json").read_text())
        self.cro = json.loads((self.p / "croissant.json").read_text())
        self.card = (self.p / "README.md").read_text()
        self.schema = pq.ParquetFile(self.p / (PARQUET % "train")).schema_arrow
        self.rows = []
        for s in SPLITS:
            for r in pq.read_table(self.p / (PARQUET % s)).to_pylist():
                im = r.pop("image")
                r.update(split=s, png=im["bytes"], path=im["path"], layer=LAYERS[r["layer"]], status=STATUS[r["status"]])
                self.rows.append(r)

    def row(self, layer, filter):
        return next(r for r in self.rows if (r["layer"], r["filter"]) == (layer, filter))

    def sort(self):
        self.rows.sort(key=lambda r: (LAYERS.index(r["layer"]) if r["layer"] in LAYERS else 0, r["filter"]))

    def table(self, split):
        return make_table([r for r in self.rows if r["split"] == split], self.schema)

    def save(self, table=None, writer=None, counts=True, sheet=True, order=True, after=None):
        """table: f(split, table)->table; writer: f(split, table, path)"""
        if order:
            self.sort()
        for s in SPLITS:
            t = self.table(s)
            if table:
                t = table(s, t)
            p = self.p / (PARQUET % s)
            if writer:
                writer(s, t, p)
            else:
                write_parquet(t, p)
            if after:
                after(s, p)
        if counts:
            self.build["images"] = len(self.rows)
            self.build["dead"] = sum(r["status"] == "dead" for r in self.rows)
        (self.p / "build.json").write_text(dump(self.build))
        if sheet:
            (self.p / "contact-sheet-original.png").write_bytes(draw_sheet(self.rows))
        self.finish()

    def finish(self):
        """card and Croissant after the parquet files as they lie there"""
        c = self.card
        total = size = 0
        for s in SPLITS:
            p = self.p / (PARQUET % s)
            size += p.stat().st_size
            gb = group_bytes(p)
            n = sum(r["split"] == s for r in self.rows)
            m = re.search(rf"  - name: {s}\n    num_bytes: (\d+)\n    num_examples: (\d+)\n", c)
            b = gb[0] if gb else int(m.group(1))
            n = gb[1] if gb else n
            total += b
            c = c.replace(m.group(0), f"  - name: {s}\n    num_bytes: {b}\n    num_examples: {n}\n")
        c = re.sub(r"download_size: \d+", f"download_size: {size}", c)
        c = re.sub(r"dataset_size: \d+", f"dataset_size: {total}", c)
        cnt = {s: sum(r["split"] == s for r in self.rows) for s in SPLITS}
        c = re.sub(
            r"\d+ train, \d+ validation, \d+ test",
            f"{cnt['train']} train, {cnt['validation']} validation, {cnt['test']} test",
            c,
        )
        N, D = self.build["images"], self.build["dead"]
        c = re.sub(r"network look for: \d+ images", f"network look for: {N} images", c)
        c = re.sub(r"filters it holds \d+", f"filters it holds {N}", c)
        c = re.sub(r"\*\*\d+ of the \d+ images are dead", f"**{D} of the {N} images are dead", c)
        for l in LAYERS:
            R = [r for r in self.rows if r["layer"] == l]
            if R and l in RF:
                A = [r for r in R if r["status"] == "alive"]
                mean = np.mean([r["uniformity_index"] or 0 for r in R]) if R else 0
                try:
                    med = statistics.median([r["activation"] - r["activation_start"] for r in A])
                except (statistics.StatisticsError, TypeError):  # No filter is alive, or a value was taken away.
                    med = float("nan")
                first = sum(r["activation_rank"] == 1 for r in A)
                c = re.sub(
                    rf"\| original \| {l} \|.*",
                    f"| original | {l} | {len(R)} | {len(R) - len(A)} | {round(float(mean), 3)} | {round(float(med), 3)} | {first} |",
                    c,
                )
        self.card = c
        (self.p / "README.md").write_text(c)
        self.cro["description"] = re.sub(r"for: \d+ images", f"for: {N} images", self.cro["description"])
        self.cro["description"] = re.sub(r"\d+ of them are dead", f"{D} of them are dead", self.cro["description"])
        for e in self.cro["distribution"]:
            if e["@type"] == "cr:FileObject" and (self.p / e["@id"]).exists():
                b = (self.p / e["@id"]).read_bytes()
                e["contentSize"] = f"{len(b)} B"
                e["sha256"] = sha(b)
        (self.p / "croissant.json").write_text(dump(self.cro))


# ---------------------------------------------------------------- the bundle
COLS = [
    "file_name",
    "split",
    "network",
    "layer",
    "filter",
    "recipe",
    "seed",
    "status",
    "activation_start",
    "activation",
    "activation_rank",
    "uniformity_index",
    "pixels_sha256",
]


class Bundle:
    def __init__(self, path):
        self.p = Path(path)
        self.build = json.loads((self.p / "build.json").read_text())
        self.cro = json.loads((self.p / "croissant.json").read_text())
        self.kag = json.loads((self.p / "dataset-metadata.json").read_text())
        self.cols = list(COLS)
        self.rows = list(csv.DictReader((self.p / "metadata.csv").open(newline="")))

    def row(self, layer, filter):
        return next(r for r in self.rows if (r["layer"], r["filter"]) == (layer, str(filter)))

    def png(self, r):
        return (self.p / r["file_name"]).read_bytes()

    def set_image(self, r, a, png=None):
        (self.p / r["file_name"]).write_bytes(to_png(a) if png is None else png)
        r["uniformity_index"] = repr(index_of(a))
        r["pixels_sha256"] = hash_of(a)

    def csv_text(self):
        out = io.StringIO()
        w = csv.writer(out, lineterminator="\n")
        w.writerow(self.cols)
        for r in self.rows:
            w.writerow([r[c] for c in self.cols])
        return out.getvalue()

    def save(self, text=None, raw=None, counts=True):
        """text: f(csv text)->csv text; raw: f(bytes)->bytes"""
        t = self.csv_text()
        if text:
            t = text(t)
        b = t.encode("utf-8", "surrogateescape")
        if raw:
            b = raw(b)
        (self.p / "metadata.csv").write_bytes(b)
        if counts:
            self.build["images"] = len(self.rows)
            self.build["dead"] = sum(r["status"] == "dead" for r in self.rows)
            self.cro["description"] = re.sub(r"for: \d+ images", f"for: {len(self.rows)} images", self.cro["description"])
            self.cro["description"] = re.sub(
                r"\d+ of them are dead", f"{self.build['dead']} of them are dead", self.cro["description"]
            )
        (self.p / "build.json").write_text(dump(self.build))
        for e in self.cro["distribution"]:
            if e["@id"] == "metadata.csv":
                e["contentSize"] = f"{len(b)} B"
                e["sha256"] = sha(b)
        (self.p / "croissant.json").write_text(dump(self.cro))
        (self.p / "dataset-metadata.json").write_text(dump(self.kag))


# ---------------------------------------------------------------- build.json, recipes, texts
def digest(recipe):
    return sha(
        json.dumps(
            {k: v for k, v in recipe.items() if k not in ("digest", "image_side")}, sort_keys=True, separators=(",", ":")
        ).encode()
    )


def sub_file(p, old, new, count=-1):
    t = Path(p).read_bytes()
    o = old.encode() if isinstance(old, str) else old
    n = new.encode("utf-8", "surrogatepass") if isinstance(new, str) else new
    if o not in t:
        raise AssertionError(f"{old!r} is not in {p}")
    Path(p).write_bytes(t.replace(o, n, count))


def sub_all(root, old, new, need=True):
    """replace in every text file of the folder (JSON escapes when needed)"""
    hit = 0
    for f in ("README.md", "build.json", "croissant.json", "dataset-metadata.json"):
        p = Path(root) / f
        if p.exists():
            o, n = (old, new) if f == "README.md" else (json.dumps(old)[1:-1], json.dumps(new)[1:-1])
            t = p.read_bytes()
            if o.encode() in t:
                p.write_bytes(t.replace(o.encode(), n.encode()))
                hit += 1
    if need and not hit:
        raise AssertionError(f"{old!r} is nowhere")


def edit_json(p, f):
    j = json.loads(Path(p).read_text())
    r = f(j)
    Path(p).write_text(dump(j if r is None else r))


# ---------------------------------------------------------------- zip
def zread(p):
    with zipfile.ZipFile(p) as z:
        return [(i, z.read(i)) for i in z.infolist()]


def zinfo(name, like=None, mode=0o100644, comp=zipfile.ZIP_DEFLATED):
    i = zipfile.ZipInfo(name, (2026, 11, 27, 7, 29, 34))
    i.create_system = 3
    i.external_attr = mode << 16
    i.compress_type = comp
    return i


def zwrite(p, entries, comment=b""):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(p, "w", zipfile.ZIP_DEFLATED) as z:
            for i, d in entries:
                z.writestr(i, d)
            z.comment = comment


def ztree(p, f):
    """unpack, let f work on the folder, pack again in the same manner"""
    with tempfile.TemporaryDirectory() as t:
        with zipfile.ZipFile(p) as z:
            z.extractall(t)
        order = [i.filename for i, _ in zread(p)]
        f(Path(t))
        zwrite(
            p,
            [
                (
                    zinfo(n, mode=0o40755 if n.endswith("/") else 0o100644, comp=0 if n.endswith("/") else 8),
                    b"" if n.endswith("/") else (Path(t) / n).read_bytes(),
                )
                for n in order
            ],
        )


class RawZip:
    """A zip written by hand, so that local headers and the central directory may disagree."""

    def __init__(self):
        self.body = b""
        self.cd = b""
        self.n = 0

    def add(
        self,
        name,
        data,
        local_name=None,
        flag=0,
        method=8,
        crc=None,
        csize=None,
        usize=None,
        lusize=None,
        lcsize=None,
        lcrc=None,
        extra=b"",
        lextra=None,
        mode=0o100644,
        central=True,
        local=True,
        offset=None,
        comment=b"",
        stored=None,
        version=20,
        sysver=0x0314,
        lmethod=None,
        lflag=None,
    ):
        name = name if isinstance(name, bytes) else name.encode()
        ln = name if local_name is None else local_name
        ln = ln if isinstance(ln, bytes) else ln.encode()
        if stored is None:
            if method == 8:
                c = zlib.compressobj(6, zlib.DEFLATED, -15)
                stored = c.compress(data) + c.flush()
            else:
                stored = data
        crc = zlib.crc32(data) if crc is None else crc
        cs = len(stored) if csize is None else csize
        us = len(data) if usize is None else usize
        off = len(self.body) if offset is None else offset
        d, t = ((2026 - 1980) << 9) | (11 << 5) | 27, (7 << 11) | (29 << 5) | 17
        if local:
            le = extra if lextra is None else lextra
            self.body += (
                struct.pack(
                    "<IHHHHHIIIHH",
                    0x04034B50,
                    version,
                    flag if lflag is None else lflag,
                    method if lmethod is None else lmethod,
                    t,
                    d,
                    crc if lcrc is None else lcrc,
                    cs if lcsize is None else lcsize,
                    us if lusize is None else lusize,
                    len(ln),
                    len(le),
                )
                + ln
                + le
                + stored
            )
        if central:
            self.cd += (
                struct.pack(
                    "<IHHHHHHIIIHHHHHII",
                    0x02014B50,
                    sysver,
                    version,
                    flag,
                    method,
                    t,
                    d,
                    crc,
                    cs,
                    us,
                    len(name),
                    len(extra),
                    len(comment),
                    0,
                    0,
                    (mode << 16) & 0xFFFFFFFF,
                    off,
                )
                + name
                + extra
                + comment
            )
            self.n += 1
        return off

    def bytes(self, comment=b"", n=None, disk=0, gap=b"", z64=False):
        o = len(self.body) + len(gap)
        n = self.n if n is None else n
        out = self.body + gap + self.cd
        if z64:
            e = len(out)
            out += struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, n, n, len(self.cd), o) + struct.pack(
                "<IIQI", 0x07064B50, 0, e, 1
            )
            return (
                out + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, len(comment)) + comment
            )
        return out + struct.pack("<IHHHHIIH", 0x06054B50, disk, disk, n, n, len(self.cd), o, len(comment)) + comment


def rawzip_of(p, skip=()):
    z = RawZip()
    for i, d in zread(p):
        if i.filename in skip:
            continue
        if i.filename.endswith("/"):
            z.add(i.filename, b"", method=0, mode=0o40755)
        else:
            z.add(i.filename, d)
    return z
