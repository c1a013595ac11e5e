"""The network of an FP8 Studio model in PyTorch, with its FP8 recipe.

FP8 is emulated: values are rounded to the codes of the format and multiplied in float32, which is
what FP8 hardware computes but for the order of sums. Scales are powers of two, rounded up.
"""

import json
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

FORMATS = {
    # torch type, largest value, its binary exponent
    "E4M3": (torch.float8_e4m3fn, 448.0, 8),
    "E5M2": (torch.float8_e5m2, 57344.0, 15),
}


def scale_of(amax, exponent, margin=0):
    """The smallest power of two for which amax does not exceed the format's largest value."""
    bits = amax.clamp(min=1e-12).to(torch.float32).view(torch.int32)
    power = (bits >> 23) - 127 - exponent + ((bits & 0x7FFFFF) > 0x600000).int() + margin
    return torch.ldexp(torch.ones_like(amax), power.clamp(-126, 126))


def blocks(x, rows, cols):
    """Largest magnitude of every block, spread to the shape of x again."""
    r, c = x.shape
    pad = (0, -c % cols, 0, -r % rows)
    tiles = F.pad(x.abs(), pad).unfold(0, rows, rows).unfold(1, cols, cols)
    amax = tiles.amax((2, 3))
    return amax.repeat_interleave(rows, 0)[:r].repeat_interleave(cols, 1)[:, :c]


class Recipe:
    """How tensors are rounded; None for a model that is not trained in FP8."""

    def __init__(self, precision):
        about = precision if isinstance(precision, dict) else {}
        about = about.get("fp8", about if "scaling" in about else None)
        self.on = about is not None
        if self.on:
            self.kind = about["scaling"]["kind"]
            self.history = about["scaling"].get("history", 1024)
            self.algorithm = about["scaling"].get("algorithm", "max")
            self.high_precision_weight_gradient = about["scaling"].get(
                "high_precision_weight_gradient", False
            )
            self.forward, self.gradient = about["forward"].upper(), about["gradient"].upper()
            self.margin = about.get("margin", 0)

    def block(self, x, weight):
        rows, cols = x.shape
        return {
            "current": (rows, cols),
            "delayed": (rows, cols),
            "rowwise": (1, cols),
            "block": (128, 128) if weight else (1, 128),
            "mx": (1, 32),
        }[self.kind]

    def round(self, x, kind, weight=False, amax=None):
        """x as the format holds it, in float32."""
        if x.numel() == 0:
            return x
        dtype, largest, exponent = FORMATS[kind]
        if amax is None:
            rows, cols = self.block(x, weight)
            amax = x.abs().amax() if (rows, cols) == tuple(x.shape) else blocks(x, rows, cols)
        scale = scale_of(amax, exponent, self.margin)
        return (x / scale).clamp(-largest, largest).to(dtype).to(torch.float32) * scale


class Fp8Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, recipe, amaxes):
        rounded = recipe.round(x, recipe.forward, amax=amaxes[0])
        rounded_weight = recipe.round(weight, recipe.forward, True, amax=amaxes[1])
        ctx.save_for_backward(x if recipe.high_precision_weight_gradient else rounded, rounded_weight)
        ctx.recipe, ctx.amax, ctx.note = recipe, amaxes[2], amaxes[3]
        return F.linear(rounded, rounded_weight, bias)

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        ctx.note(gradient)
        rounded = ctx.recipe.round(gradient, ctx.recipe.gradient, amax=ctx.amax)
        left = gradient if ctx.recipe.high_precision_weight_gradient else rounded
        return rounded @ weight, left.t() @ x, gradient.sum(0), None, None


def flat(image):
    """An image [n, c, h, w] as the studio holds it: one row per sample, channels innermost."""
    return image.permute(0, 2, 3, 1).flatten(1)


def unflat(rows, shape):
    """The reverse of flat, for an image of this shape."""
    n, c, h, w = shape
    return rows.view(n, h, w, c).permute(0, 3, 1, 2)


class Fp8Conv(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, recipe, amaxes, how):
        rounded = unflat(recipe.round(flat(x), recipe.forward, amax=amaxes[0]), x.shape)
        filters = filters_of(recipe.round(weight.flatten(1), recipe.forward, True, amax=amaxes[1]), weight)
        ctx.save_for_backward(x if recipe.high_precision_weight_gradient else rounded, filters)
        ctx.recipe, ctx.amax, ctx.note, ctx.how, ctx.bias = recipe, amaxes[2], amaxes[3], how, bias is not None
        return F.conv2d(rounded, filters, bias, **how)

    @staticmethod
    def backward(ctx, gradient):
        x, filters = ctx.saved_tensors
        ctx.note(gradient)
        rounded = unflat(ctx.recipe.round(flat(gradient), ctx.recipe.gradient, amax=ctx.amax), gradient.shape)
        left = gradient if ctx.recipe.high_precision_weight_gradient else rounded
        of_x = torch.nn.grad.conv2d_input(x.shape, filters, rounded, **ctx.how)
        of_weight = torch.nn.grad.conv2d_weight(x, filters.shape, left, **ctx.how).permute(0, 2, 3, 1)
        return of_x, of_weight, gradient.sum((0, 2, 3)) if ctx.bias else None, None, None, None


def filters_of(values, weight):
    """Filters [out, k, k, c] of the studio as PyTorch has them, [out, c, k, k]."""
    return values.view(weight.shape).permute(0, 3, 1, 2)


class Layer(nn.Module):
    """A layer with products: weight and bias in the studio's layout, and the amax of past steps."""

    def __init__(self, shape, bias, recipe, high_precision):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(shape[0])) if bias else None
        self.recipe = recipe
        self.fp8 = recipe.on and not high_precision
        self.amaxes = [[], [], []]

    def delayed(self, role, x):
        """The largest value to scale by, from earlier steps where the recipe says so."""
        if self.recipe.kind != "delayed":
            return None
        history = self.amaxes[role]
        now = x.detach().abs().amax()
        choose = {"most_recent": lambda: history[-1], "first": lambda: history[0]}
        choose = choose.get(self.recipe.algorithm, lambda: max(history))
        amax = choose() if history else now
        history.append(now)
        if self.recipe.algorithm == "first":
            del history[1:]
        del history[: -self.recipe.history]
        return amax

    def scales(self, x):
        """What scales input, weight and gradient, and where the gradient is noted."""
        # Gradients have no size before the first step; their own is used then.
        gradient = max(self.amaxes[2]) if self.amaxes[2] else None
        note = (lambda g: self.delayed(2, g)) if self.recipe.kind == "delayed" else (lambda g: None)
        return self.delayed(0, x), self.delayed(1, self.weight), gradient, note


class Dense(Layer):
    def forward(self, x):
        if not self.fp8:
            return F.linear(x, self.weight, self.bias)
        if not self.training:
            # As the studio evaluates: weights in FP8, activations in float32.
            return F.linear(x, self.recipe.round(self.weight, self.recipe.forward, True), self.bias)
        return Fp8Linear.apply(x, self.weight, self.bias, self.recipe, self.scales(x))


class Conv(Layer):
    def __init__(self, channels, layer, recipe):
        k, groups = layer["kernel"], layer["groups"]
        shape = (layer["out"], k, k, channels // groups)
        super().__init__(shape, layer["bias"], recipe, layer["high_precision"])
        self.how = {"stride": layer["stride"], "padding": layer["padding"], "groups": groups}

    def forward(self, x):
        if self.fp8 and self.training:
            return Fp8Conv.apply(x, self.weight, self.bias, self.recipe, self.scales(x), self.how)
        weight = self.weight.flatten(1)
        if self.fp8:
            weight = self.recipe.round(weight, self.recipe.forward, True)
        return F.conv2d(x, filters_of(weight, self.weight), self.bias, **self.how)


class BatchNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.gain = nn.Parameter(torch.empty(channels))
        self.shift = nn.Parameter(torch.empty(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, x):
        about = (self.mean, self.variance, self.gain, self.shift, self.training, 0.1, 1e-5)
        return F.batch_norm(x, *about)


def activate(x, activation):
    if activation == "relu":
        return F.relu(x)
    if activation == "gelu":
        return F.gelu(x, approximate="tanh")
    return F.silu(x) if activation == "silu" else x


class Network(nn.Module):
    """The layers of `config.json`; parameters are called as in the studio."""

    def __init__(self, config):
        super().__init__()
        model, recipe = config["model"], Recipe(config["settings"]["precision"])
        self.nodes = model["nodes"]
        self.image = model["input"].get("image")
        tables = model["input"]["embeddings"]
        self.embed = nn.ParameterList(
            [nn.Parameter(torch.empty(t["cardinality"], t["dim"])) for t in tables]
        )
        self.layers = nn.ModuleDict()
        # Shapes are found with one made-up sample that passes through.
        x = torch.zeros(1, model["input"]["dense"] + sum(t["dim"] for t in tables))
        outputs = {"input": self.shaped(x)}
        with torch.no_grad():
            for before, node in zip(["input"] + [n["name"] for n in self.nodes], self.nodes):
                taken = [outputs[name] for name in node.get("inputs") or [before]]
                module = self.module(node["layer"], taken[0], recipe)
                if module is not None:
                    self.layers[node["name"]] = module.eval()
                outputs[node["name"]] = self.apply_node(node, taken)
        self.train()

    @staticmethod
    def module(layer, x, recipe):
        """What holds the parameters of a layer that takes x; None if it has none."""
        kind = layer["kind"]
        if kind == "dense":
            shape = (layer["out"], x[0].numel())
            return Dense(shape, True, recipe, layer["high_precision"])
        if kind == "conv2d":
            return Conv(x.shape[1], layer, recipe)
        if kind == "layer_norm":
            return nn.LayerNorm(x.shape[1], eps=1e-5)
        if kind == "batch_norm":
            return BatchNorm(x.shape[1])
        return nn.Dropout(layer["rate"]) if kind == "dropout" else None

    def shaped(self, x):
        """Rows of numbers as the images that they are, if so."""
        if self.image is None:
            return x
        return unflat(x, (len(x), self.image["channels"], self.image["height"], self.image["width"]))

    def apply_node(self, node, taken):
        layer, x = node["layer"], taken[0]
        kind = layer["kind"]
        if kind in ("dense", "flatten") and x.dim() == 4:
            x = flat(x)
        if node["name"] in self.layers:
            x = self.layers[node["name"]](x)
        elif kind == "max_pool":
            x = F.max_pool2d(x, layer["size"], layer["stride"], layer["padding"])
        elif kind == "avg_pool":
            x = F.avg_pool2d(x, layer["size"], layer["stride"])
        elif kind == "global_average_pool":
            x = x.mean((2, 3))
        elif kind == "add":
            x = x + taken[1]
        elif kind != "flatten":
            raise SystemExit(f"layers of kind {kind} are not supported here")
        return activate(x, layer.get("activation"))

    def forward(self, dense, categories):
        parts = [dense] + [table[categories[:, i]] for i, table in enumerate(self.embed)]
        x = self.shaped(torch.cat(parts, 1))
        outputs = {"input": x}
        for node in self.nodes:
            x = self.apply_node(node, [outputs[n] for n in node.get("inputs") or []] or [x])
            outputs[node["name"]] = x
        return x

    def studio_names(self):
        """Trained parameter by the name that the studio gives it."""
        names = {f"embed.{i}.table": table for i, table in enumerate(self.embed)}
        for name, layer in self.layers.items():
            if isinstance(layer, Layer):
                names[f"{name}.weight"] = layer.weight
                if layer.bias is not None:
                    names[f"{name}.bias"] = layer.bias
            elif isinstance(layer, nn.LayerNorm):
                names[f"{name}.gain"], names[f"{name}.shift"] = layer.weight, layer.bias
            elif isinstance(layer, BatchNorm):
                names[f"{name}.gain"], names[f"{name}.shift"] = layer.gain, layer.shift
        return names

    def running(self):
        """Running statistics by name: they follow the batches, no optimiser changes them."""
        norms = [(n, layer) for n, layer in self.layers.items() if isinstance(layer, BatchNorm)]
        return {f"{n}.{part}": getattr(layer, part) for n, layer in norms for part in ("mean", "variance")}

    def stored(self):
        return {**self.studio_names(), **self.running()}

    def load(self, tensors):
        with torch.no_grad():
            for name, tensor in self.stored().items():
                tensor.copy_(tensors[name])

    def tensors(self):
        return {name: t.detach().clone().contiguous() for name, t in self.stored().items()}


def read(folder):
    """Settings, the starting weights and the three parts of the data."""
    from safetensors.torch import load_file

    folder = Path(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    parts = {p: load_file(folder / "data" / f"{p}.safetensors") for p in ("train", "validation", "test")}
    return config, load_file(folder / "weights.safetensors"), parts
