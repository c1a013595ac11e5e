"""Writes cnn.safetensors: a small convolutional network trained for a few steps by PyTorch.

The network has every kind of image layer: convolution with stride and groups, depthwise
convolution, max, average and global pooling, batch normalisation and a residual sum. The file holds
the data, the initial and final parameters (in this project's layout: images and filters with
channels last), the gradients of the first step, all losses and the outputs of an evaluation.

    python tests/golden/cnn.py
"""

import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

STEPS, ROWS, CLASSES = 6, 12, 3
RATE, DECAY = 3e-3, 0.01
torch.manual_seed(7)
torch.set_num_threads(1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, padding=1)
        self.a = nn.Conv2d(6, 6, 3, padding=1, groups=2, bias=False)
        self.an = nn.BatchNorm2d(6)
        self.dw = nn.Conv2d(6, 6, 3, stride=2, padding=1, groups=6, bias=False)
        self.dwn = nn.BatchNorm2d(6)
        self.b = nn.Conv2d(6, 8, 1, bias=True)
        self.output = nn.Linear(8, CLASSES)

    def forward(self, x):
        stem = F.max_pool2d(F.relu(self.stem(x)), 2)
        x = F.relu(self.an(self.a(stem)) + stem)
        x = F.max_pool2d(x, 3, stride=1, padding=1)
        x = F.silu(self.dwn(self.dw(x)))
        x = F.gelu(self.b(x), approximate="tanh")
        x = F.avg_pool2d(x, 2, stride=1)
        return self.output(x.mean(dim=(2, 3)))


NAMES = {"running_mean": "mean", "running_var": "variance"}


def ours(net):
    """Parameters and running statistics under this project's names and layout."""
    result = {}
    norms = {n for n, m in net.named_modules() if isinstance(m, nn.BatchNorm2d)}
    for key, value in net.state_dict().items():
        module, part = key.split(".")
        if part == "num_batches_tracked":
            continue
        if module in norms:
            part = {"weight": "gain", "bias": "shift"}.get(part, NAMES.get(part, part))
        result[f"{module}.{part}"] = layout(value)
    return result


def layout(value):
    value = value.detach().clone()
    return (value.permute(0, 2, 3, 1) if value.dim() == 4 else value).contiguous()


def gradients(net):
    result = {}
    norms = {n for n, m in net.named_modules() if isinstance(m, nn.BatchNorm2d)}
    for key, value in net.named_parameters():
        module, part = key.split(".")
        if module in norms:
            part = {"weight": "gain", "bias": "shift"}[part]
        result[f"{module}.{part}"] = layout(value.grad)
    return result


def main():
    net = Net()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
    weights = [p for n, p in net.named_parameters() if p.dim() > 1]
    others = [p for n, p in net.named_parameters() if p.dim() == 1]
    groups = [{"params": weights, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    images = torch.rand(STEPS, ROWS, 2, 9, 8) * 2 - 1
    labels = torch.randint(0, CLASSES, (STEPS, ROWS))
    out = {f"initial.{k}": v for k, v in ours(net).items()}
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(images[step]), labels[step])
        loss.backward()
        if step == 0:
            out |= {f"gradient.{k}": v for k, v in gradients(net).items()}
        optimizer.step()
        losses.append(loss.item())
    out |= {f"final.{k}": v for k, v in ours(net).items()}
    net.eval()
    with torch.no_grad():
        out["outputs"] = net(images[0])
    out["images"] = images.permute(0, 1, 3, 4, 2).contiguous()
    out["labels"] = labels.to(torch.int32)
    out["losses"] = torch.tensor(losses)
    path = pathlib.Path(__file__).with_name("cnn.safetensors")
    save_file(out, path, metadata={"torch": torch.__version__, "rate": str(RATE)})
    print(path, losses)


main()
