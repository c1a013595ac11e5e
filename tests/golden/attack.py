"""Records what PyTorch makes of FGSM and PGD on a small network, for src/eval/attack.rs.

    venv/bin/pip install torch scikit-learn
    venv/bin/python tests/golden/attack.py

Writes tests/golden/attack.json: weights, digits of 8 x 8 pixels, input gradients, accuracies.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

torch.manual_seed(3)
pixels, labels = load_digits(return_X_y=True)
x = torch.tensor(pixels / 16, dtype=torch.float32)
y = torch.tensor(labels)
order = torch.randperm(len(x))
train, test = order[:1500], order[1500:1650]
net = nn.Sequential(nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))
optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
loss_of = nn.CrossEntropyLoss()
for _ in range(400):
    optimizer.zero_grad()
    loss_of(net(x[train]), y[train]).backward()
    optimizer.step()
with torch.no_grad():
    for p in net.parameters():
        p.copy_(torch.tensor(np.round(p.numpy(), 4)))
clean, truth = x[test], y[test]


def gradient(inputs):
    inputs = inputs.clone().requires_grad_(True)
    loss_of(net(inputs), truth).backward()
    return inputs.grad


def accuracy(inputs):
    return float((net(inputs).argmax(1) == truth).float().mean())


def fgsm(epsilon):
    return (clean + epsilon * gradient(clean).sign()).clamp(0, 1)


def pgd(epsilon, steps=10):
    torch.manual_seed(0)
    at = (clean + (2 * torch.rand_like(clean) - 1) * epsilon).clamp(0, 1)
    for _ in range(steps):
        at = at + 2.5 * epsilon / steps * gradient(at).sign()
        at = torch.min(torch.max(at, clean - epsilon), clean + epsilon).clamp(0, 1)
    return at


sizes = [0.02, 0.05, 0.1, 0.2, 0.3]
figures = {
    "made_with": {"torch": version("torch"), "scikit-learn": version("scikit-learn")},
    "weights": [np.round(p.detach().numpy(), 4).ravel().tolist() for p in net.parameters()],
    "pixels": pixels[test.numpy()].astype(int).ravel().tolist(),
    "truth": truth.tolist(),
    "clean": accuracy(clean),
    "gradient": gradient(clean)[:20].ravel().tolist(),
    "sizes": sizes,
    "fgsm": [accuracy(fgsm(e)) for e in sizes],
    "pgd": [accuracy(pgd(e)) for e in sizes],
}
figures["weights"] = [[round(v, 4) for v in w] for w in figures["weights"]]
path = Path(__file__).with_suffix(".json")
path.write_text(json.dumps(figures) + "\n")
print(figures["clean"], figures["fgsm"], figures["pgd"], path.stat().st_size)
