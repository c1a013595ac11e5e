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


class Dense(nn.Module):
    def __init__(self, inputs, outputs, recipe, high_precision):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs))
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

    def forward(self, x):
        if not self.fp8:
            return F.linear(x, self.weight, self.bias)
        if not self.training:
            # As the studio evaluates: weights in FP8, activations in float32.
            return F.linear(x, self.recipe.round(self.weight, self.recipe.forward, True), self.bias)
        # Gradients have no size before the first step; their own is used then.
        gradient = max(self.amaxes[2]) if self.amaxes[2] else None
        note = (lambda g: self.delayed(2, g)) if self.recipe.kind == "delayed" else (lambda g: None)
        amaxes = (self.delayed(0, x), self.delayed(1, self.weight), gradient, note)
        return Fp8Linear.apply(x, self.weight, self.bias, self.recipe, amaxes)


class Network(nn.Module):
    """The layers of `config.json`; parameters are called as in the studio."""

    def __init__(self, config):
        super().__init__()
        model, recipe = config["model"], Recipe(config["settings"]["precision"])
        self.nodes = model["nodes"]
        tables = model["input"]["embeddings"]
        self.embed = nn.ParameterList(
            [nn.Parameter(torch.empty(t["cardinality"], t["dim"])) for t in tables]
        )
        width = model["input"]["dense"] + sum(t["dim"] for t in tables)
        self.layers = nn.ModuleDict()
        for node in self.nodes:
            layer = node["layer"]
            if layer["kind"] == "dense":
                self.layers[node["name"]] = Dense(
                    width, layer["out"], recipe, layer["high_precision"]
                )
                width = layer["out"]
            elif layer["kind"] == "layer_norm":
                self.layers[node["name"]] = nn.LayerNorm(width, eps=1e-5)
            elif layer["kind"] == "dropout":
                self.layers[node["name"]] = nn.Dropout(layer["rate"])
            else:
                raise SystemExit(f"layers of kind {layer['kind']} are not supported here")

    def forward(self, dense, categories):
        parts = [dense] + [table[categories[:, i]] for i, table in enumerate(self.embed)]
        x = torch.cat(parts, 1)
        for node in self.nodes:
            x = self.layers[node["name"]](x)
            activation = node["layer"].get("activation")
            if activation == "relu":
                x = F.relu(x)
            elif activation == "gelu":
                x = F.gelu(x, approximate="tanh")
            elif activation == "silu":
                x = F.silu(x)
        return x

    def studio_names(self):
        """Parameter by the name that the studio gives it."""
        names = {f"embed.{i}.table": table for i, table in enumerate(self.embed)}
        for name, layer in self.layers.items():
            if isinstance(layer, Dense):
                names[f"{name}.weight"], names[f"{name}.bias"] = layer.weight, layer.bias
            elif isinstance(layer, nn.LayerNorm):
                names[f"{name}.gain"], names[f"{name}.shift"] = layer.weight, layer.bias
        return names

    def load(self, tensors):
        with torch.no_grad():
            for name, parameter in self.studio_names().items():
                parameter.copy_(tensors[name])

    def tensors(self):
        return {name: p.detach().clone().contiguous() for name, p in self.studio_names().items()}


def read(folder):
    """Settings, the starting weights and the three parts of the data."""
    from safetensors.torch import load_file

    folder = Path(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    parts = {p: load_file(folder / "data" / f"{p}.safetensors") for p in ("train", "validation", "test")}
    return config, load_file(folder / "weights.safetensors"), parts
