"""Keras models as people build them, for `benchmarks/matrix.py`: each with what has to be made of it, or why it is refused.

A model is built by a function that gets a `Taps`. What it notes there, with Keras alone, is what the tool's images are held to:
the name of each layer, and its output before any activation function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
from keras import layers

Tensor = Any
SIDE = 40


@dataclass
class Taps:
    """The layers of a model that images are to be made of, in any order: name -> output."""

    found: dict[str, Tensor] = field(default_factory=dict)
    image: Tensor = None
    """What they are computed from, where that is not the model's own input."""

    def conv(self, x: Tensor, filters: int, name: str, size: int = 3, **options: Any) -> Tensor:
        """A convolution, whose output is noted, without an activation function."""
        self.found[name] = x = layers.Conv2D(filters, size, name=name, **options)(x)
        return x

    def call(self, model: keras.Model, x: Tensor, prefix: str = "") -> Tensor:
        """The output of an inner model, whose convolutions are noted by the names that they have in the whole model."""
        for each in model.layers:
            if isinstance(each, layers.Conv2D):
                self.found[prefix + each.name] = keras.Model(model.inputs, each.output)(x)
        return model(x)


Ends = tuple[Tensor, Tensor]
"""Input and output of a model."""
Build = Callable[[Taps], Ends]


@dataclass(frozen=True)
class Case:
    """A model, and what has to become of it. left_out: what has to be named as not made. refused: words of the refusal."""

    build: Build
    left_out: tuple[str, ...] = ()
    refused: str | None = None
    policy: str = "float32"
    kind: str = "keras"
    """How the file ends: keras or h5."""

    def save(self, folder: Path, name: str) -> tuple[Path, keras.Model | None, list[str]]:
        """Save the model. Its file, a model of the noted outputs (None where nothing is to be made), and the noted names."""
        keras.backend.clear_session()
        keras.utils.set_random_seed(0)
        keras.config.set_dtype_policy(self.policy)
        taps = Taps()
        try:
            inputs, outputs = self.build(taps)
            path = folder / f"{name}.{self.kind}"
            keras.Model(inputs, outputs).save(path)
        finally:
            keras.config.set_dtype_policy("float32")
        first = inputs if taps.image is None else taps.image
        first = first[0] if isinstance(first, list) else next(iter(first.values())) if isinstance(first, dict) else first
        return path, None if self.refused else keras.Model(first, list(taps.found.values())), list(taps.found)


def _image(side: int = SIDE, **options: Any) -> Tensor:
    return keras.Input((side, side, 3), **options)


def _scaled(x: Tensor) -> Tensor:
    return layers.Rescaling(1 / 255.0)(x)


def _with(*between: Callable[[], Callable[[Tensor], Tensor]]) -> Build:
    """Two convolutions, with these layers between them."""

    def build(taps: Taps) -> Ends:
        inputs = _image()
        x = taps.conv(_scaled(inputs), 4, "first", padding="same")
        for each in between:
            x = each()(x)
        return inputs, taps.conv(x, 3, "last")

    return build


def _before(*before: Callable[[], Callable[[Tensor], Tensor]], side: int = SIDE) -> Build:
    """A convolution behind these layers, which the image meets first."""

    def build(taps: Taps) -> Ends:
        inputs = x = _image(side)
        for each in before:
            x = each()(x)
        return inputs, taps.conv(x, 4, "only")

    return build


def _convolution(**options: Any) -> Build:
    def build(taps: Taps) -> Ends:
        inputs = _image()
        return inputs, taps.conv(_scaled(inputs), 4, "only", **options)

    return build


def _named(*names: str) -> Build:
    def build(taps: Taps) -> Ends:
        inputs = _image()
        x = _scaled(inputs)
        for name in names:
            x = taps.conv(x, 3, name)
        return inputs, x

    return build


def _grouped(taps: Taps) -> Ends:
    inputs = _image()
    x = taps.conv(_scaled(inputs), 4, "first")
    return inputs, taps.conv(x, 6, "grouped", groups=2)


def _branch(name: str, filters: int) -> keras.Model:
    inputs = _image()
    x = layers.Conv2D(filters, 3, name="conv1")(inputs)
    return keras.Model(inputs, layers.Conv2D(filters, 3, name="conv2")(layers.ReLU()(x)), name=name)


def _twins(taps: Taps) -> Ends:
    inputs = _image()
    x = _scaled(inputs)
    both = [taps.call(_branch(name, filters), x, f"{name}.") for name, filters in (("left", 3), ("right", 4))]
    return inputs, taps.conv(layers.Concatenate()(both), 3, "joint")


def _ensemble(taps: Taps) -> Ends:
    inputs = _image()
    both = [taps.call(_branch(name, 3), inputs, f"{name}.") for name in ("one", "two")]
    return inputs, layers.Dense(2)(layers.Concatenate()([layers.GlobalAveragePooling2D()(each) for each in both]))


def _backbone(taps: Taps) -> Ends:
    inputs = _image()
    return inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(taps.call(_branch("backbone", 4), _scaled(inputs))))


def _sequences(taps: Taps) -> Ends:
    inputs = _image()
    x, channels = _scaled(inputs), 3
    for name in ("b1", "b2"):
        inside = keras.Input((None, None, channels)), layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization()
        x, channels = taps.call(keras.Sequential(inside, name=name), x, f"{name}."), 4
    return inputs, x


def _shared(taps: Taps) -> Ends:
    inputs = _image()
    layer = layers.Conv2D(3, 3, padding="same", name="shared")
    taps.found["shared"] = x = layer(_scaled(inputs))
    taps.found["shared.2"] = x = layer(layers.ReLU()(x))
    return inputs, taps.conv(x, 4, "last")


def _spectral(taps: Taps) -> Ends:
    inputs = _image()
    x = taps.conv(_scaled(inputs), 4, "plain")
    taps.found["inside"] = x = layers.SpectralNormalization(layers.Conv2D(3, 3, name="inside"), name="around")(x)
    return inputs, x


def _residual(taps: Taps) -> Ends:
    inputs = _image()
    x = taps.conv(_scaled(inputs), 4, "stem", padding="same")
    y = taps.conv(layers.ReLU()(layers.BatchNormalization()(x)), 4, "body", padding="same")
    return inputs, layers.Add()([x, y])


def _inception(taps: Taps) -> Ends:
    inputs = _image()
    x = _scaled(inputs)
    wide = taps.conv(x, 3, "wide", size=5, padding="same")
    narrow = taps.conv(x, 3, "narrow", size=1)
    return inputs, taps.conv(layers.Concatenate()([wide, narrow, layers.MaxPooling2D(3, 1, padding="same")(x)]), 4, "joined")


def _squeezed(taps: Taps) -> Ends:
    inputs = _image()
    x = taps.conv(_scaled(inputs), 4, "stem")
    scale = layers.Dense(4, activation="sigmoid")(layers.Dense(2, activation="relu")(layers.GlobalAveragePooling2D()(x)))
    return inputs, taps.conv(layers.Multiply()([x, layers.Reshape((1, 1, 4))(scale)]), 3, "last")


def _unet(taps: Taps) -> Ends:
    inputs = _image()
    x = taps.conv(_scaled(inputs), 4, "down", padding="same")
    y = taps.conv(layers.MaxPooling2D()(x), 6, "deep", padding="same")
    y = layers.UpSampling2D(interpolation="bilinear")(layers.LeakyReLU()(y))
    z = layers.Conv2DTranspose(4, 3, strides=2, padding="same", name="up")(layers.Concatenate()([x, y]))
    return inputs, taps.conv(layers.PReLU(shared_axes=[1, 2])(z), 3, "out")


def _operations(taps: Taps) -> Ends:
    inputs = _image()
    x = taps.conv((inputs - 127.5) / 127.5, 4, "first")
    return inputs, taps.conv(keras.ops.tanh(x) * 2.0 + keras.ops.abs(x), 3, "last")


def _caffe(taps: Taps) -> Ends:
    inputs = _image()
    return inputs, taps.conv(keras.applications.vgg16.preprocess_input(inputs), 4, "only")


def _tutorial(taps: Taps) -> Ends:
    """As in TensorFlow's tutorial on transfer learning."""
    inputs = _image()
    x = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.2)])(inputs)
    x = keras.applications.mobilenet_v2.preprocess_input(x)
    x = taps.call(_branch("base", 4), x)
    return inputs, layers.Dense(1)(layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x)))


def _channels_first(taps: Taps) -> Ends:
    inputs = _image()
    x = taps.conv(_scaled(inputs), 4, "first")
    x = layers.Conv2D(3, 3, data_format="channels_first", name="turned")(layers.Permute((3, 1, 2))(x))
    return inputs, x


def _bytes(taps: Taps) -> Ends:
    inputs = _image(dtype="uint8")
    return inputs, taps.conv(_scaled(inputs), 4, "only")


def _listed(taps: Taps) -> Ends:
    inputs = _image(name="image")
    return [inputs], [layers.GlobalAveragePooling2D()(taps.conv(inputs, 4, "only"))]


def _by_name(taps: Taps) -> Ends:
    inputs = _image(name="image")
    return {"image": inputs}, {"y": layers.Dense(2)(layers.Flatten()(taps.conv(inputs, 4, "only")))}


def _open_sides(taps: Taps) -> Ends:
    inputs = keras.Input((None, None, 3))
    return inputs, taps.conv(_scaled(inputs), 4, "only")


def _head(taps: Taps) -> Ends:
    inputs = _image()
    x = taps.conv(_scaled(inputs), 4, "only")
    return inputs, layers.Dense(10, activation="softmax")(layers.Dense(8, activation="relu")(layers.Flatten()(x)))


def _two_outputs(taps: Taps) -> Ends:
    inputs = _image()
    x = taps.conv(_scaled(inputs), 4, "first")
    return inputs, [layers.GlobalAveragePooling2D()(x), taps.conv(x, 3, "second")]


def _other_convolutions(taps: Taps) -> Ends:
    inputs = _image()
    x = layers.DepthwiseConv2D(3, name="depth")(layers.SeparableConv2D(4, 3, name="separable")(_scaled(inputs)))
    return inputs, taps.conv(x, 4, "made")


def _in_time(taps: Taps) -> Ends:
    inputs = _image()
    x = taps.conv(_scaled(inputs), 4, "made")
    return inputs, layers.TimeDistributed(layers.Conv2D(2, 3, name="each"), name="frames")(
        layers.Reshape((1, SIDE - 2, SIDE - 2, 4))(x)
    )


def _wide(taps: Taps) -> Ends:
    inputs, taps.image, layer = keras.Input((SIDE, 2 * SIDE, 3)), _image(SIDE), layers.Conv2D(4, 3, name="only")
    taps.found["only"] = layer(taps.image)
    return inputs, layers.Dense(2)(layers.Flatten()(layer(inputs)))


def _two_inputs(taps: Taps) -> Ends:
    inputs = [_image(), keras.Input((4,))]
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs[0]))
    return inputs, layers.Dense(1)(layers.Concatenate()([x, inputs[1]]))


def _grey(taps: Taps) -> Ends:
    inputs = keras.Input((SIDE, SIDE, 1))
    return inputs, layers.Conv2D(4, 3)(inputs)


def _no_convolution(taps: Taps) -> Ends:
    inputs = _image()
    return inputs, layers.Dense(2)(layers.Flatten()(inputs))


def _volume(taps: Taps) -> Ends:
    inputs = keras.Input((8, SIDE, SIDE, 3))
    return inputs, layers.Conv3D(2, 3)(inputs)


def _text(taps: Taps) -> Ends:
    inputs = keras.Input((16,))
    return inputs, layers.Conv1D(4, 3)(layers.Embedding(20, 8)(inputs))


def _lambda(taps: Taps) -> Ends:
    inputs = _image()
    return inputs, layers.Conv2D(4, 3)(layers.Lambda(lambda x: x / 255.0, output_shape=(SIDE, SIDE, 3))(inputs))


def _cropped_resizing() -> keras.Layer:
    return layers.Resizing(16, 12, interpolation="bicubic", crop_to_aspect_ratio=True, name="odd")


def _resizings() -> Iterator[tuple[str, Case]]:
    for how in ("nearest", "bilinear", "bicubic", "area", "lanczos3", "lanczos5"):
        yield (
            f"resize-{how}",
            Case(_before(lambda how=how: layers.Resizing(20, 20, interpolation=how), lambda: _scaled, side=60)),
        )
    for how in ("nearest", "bilinear", "bicubic"):
        yield f"upsample-{how}", Case(_with(lambda how=how: layers.UpSampling2D(interpolation=how)))


def _between() -> Iterator[tuple[str, Case]]:
    """Layers that stand between convolutions."""
    for name, make in (
        ("batch-normalization", layers.BatchNormalization),
        ("layer-normalization", layers.LayerNormalization),
        ("group-normalization", lambda: layers.GroupNormalization(2)),
        ("unit-normalization", layers.UnitNormalization),
        ("max-pooling", layers.MaxPooling2D),
        ("average-pooling", lambda: layers.AveragePooling2D(3, 2, padding="same")),
        ("padding", lambda: layers.ZeroPadding2D(2)),
        ("cropping", lambda: layers.Cropping2D(2)),
        ("relu6", lambda: layers.ReLU(6.0)),
        ("leaky-relu", layers.LeakyReLU),
        ("prelu", layers.PReLU),
        ("elu", layers.ELU),
        ("swish", lambda: layers.Activation("swish")),
        ("gelu", lambda: layers.Activation("gelu")),
        ("softmax", layers.Softmax),
        ("dropout", lambda: layers.SpatialDropout2D(0.5)),
        ("noise", lambda: layers.GaussianNoise(0.5)),
        ("permute", lambda: layers.Permute((2, 1, 3))),
        ("reshape", lambda: layers.Reshape((SIDE // 2, SIDE * 2, 4))),
    ):
        yield f"with-{name}", Case(_with(make))


CASES: dict[str, Case] = {
    "plain": Case(_convolution()),
    "same-padding": Case(_convolution(padding="same")),
    "stride": Case(_convolution(strides=2)),
    "dilation": Case(_convolution(dilation_rate=2)),
    "no-bias": Case(_convolution(use_bias=False)),
    "kernel-1x1": Case(_convolution(size=1)),
    "kernel-5x3": Case(_convolution(size=(5, 3))),
    "kernel-7x7": Case(_convolution(size=7, strides=2, padding="same")),
    "groups": Case(_grouped),
    "constraint": Case(_convolution(kernel_constraint="max_norm", kernel_regularizer="l2")),
    **dict(_between()),
    **dict(_resizings()),
    "augmented": Case(
        _before(layers.RandomFlip, lambda: layers.RandomZoom(0.2), lambda: layers.RandomContrast(0.2), lambda: _scaled)
    ),
    "center-crop": Case(_before(lambda: layers.CenterCrop(24, 24), lambda: _scaled)),
    "normalization": Case(_before(lambda: layers.Normalization(mean=[120.0, 110.0, 100.0], variance=[3000.0] * 3))),
    "operations": Case(_operations),
    "caffe-preprocessing": Case(_caffe),
    "tutorial": Case(_tutorial),
    "twins": Case(_twins),
    "ensemble": Case(_ensemble),
    "backbone": Case(_backbone),
    "sequences": Case(_sequences),
    "shared": Case(_shared),
    "spectral": Case(_spectral),
    "residual": Case(_residual),
    "inception": Case(_inception),
    "squeeze-and-excitation": Case(_squeezed),
    "u-net": Case(_unet, left_out=("up (Conv2DTranspose)",)),
    "channels-first": Case(_channels_first, refused="turned"),
    "uint8": Case(_bytes),
    "list-of-inputs": Case(_listed),
    "inputs-by-name": Case(_by_name),
    "open-sides": Case(_open_sides),
    "head": Case(_head),
    "two-outputs": Case(_two_outputs),
    "other-convolutions": Case(_other_convolutions, left_out=("separable (SeparableConv2D)", "depth (DepthwiseConv2D)")),
    "in-time": Case(_in_time, left_out=("each (Conv2D)",)),
    **{f"policy-{each}": Case(_with(layers.BatchNormalization), policy=each) for each in ("float16", "bfloat16", "float64")},
    **{f"policy-{each}": Case(_with(layers.MaxPooling2D), policy=each) for each in ("mixed_float16", "mixed_bfloat16")},
    "h5": Case(_with(layers.BatchNormalization), kind="h5"),
    "h5-nested": Case(_backbone, kind="h5"),
    "name-with-brackets": Case(_named("conv (1)"), refused="conv (1)"),
    "name-of-many-letters": Case(_named("c" * 150)),
    "names-by-case": Case(_named("Conv", "conv")),
    "name-in-greek": Case(_named("φίλτρο"), refused="φίλτρο"),
    "name-like-a-pattern": Case(_named("conv[1]*"), refused="conv[1]*"),
    "name-like-a-path": Case(_named(".."), refused=".."),
    "wide": Case(_wide),
    "two-inputs": Case(_two_inputs, refused="two-inputs"),
    "grey": Case(_grey, refused="grey"),
    "no-convolution": Case(_no_convolution, refused="no-convolution"),
    "volume": Case(_volume, refused="volume"),
    "text": Case(_text, refused="text"),
    "lambda": Case(_lambda, refused="lambda"),
    "odd-resizing": Case(_before(_cropped_resizing), refused="odd"),
}
