"""Goes on with the training of an FP8 Studio model, on as many processes as there are.

    pip install torch safetensors numpy
    torchrun --nproc-per-node 2 train.py --epochs 5
    fp8-studio import . -o better.safetensors

The split, the preprocessing and the recipe are the studio's: the rows in `data` were prepared by
it, the test rows are scored once at the end. Every step uses the batch size of the studio, shared
out over the processes. Where torchao is there, `--engine torchao` uses its float8 training in place
of the emulation; it is made for GPUs that have FP8.
"""

import argparse
import json
import math
import os
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch.nn import functional as F

from fp8_network import Network, read

# Recipes of the studio that torchao's float8 training has too.
TORCHAO = {"current": "tensorwise", "rowwise": "rowwise"}


def loss_of(outputs, target, classes):
    if classes:
        return F.cross_entropy(outputs, target)
    return F.mse_loss(outputs[:, 0], target)


def score(network, part, classes, device):
    """Mean loss, and accuracy or R²."""
    network.eval()
    outputs = []
    with torch.no_grad():
        for i in range(0, len(part["target"]), 1024):
            dense, categories = part["dense"][i : i + 1024], part["categories"][i : i + 1024]
            outputs.append(network(dense.to(device), categories.to(device)).cpu())
    network.train()
    outputs, target = torch.cat(outputs), part["target"]
    loss = float(loss_of(outputs, target, classes))
    if classes:
        return loss, float((outputs.argmax(1) == target).double().mean())
    residual = ((outputs[:, 0] - target).double() ** 2).sum()
    total = ((target - target.double().mean()) ** 2).sum()
    return loss, float(1 - residual / total)


def optimizer_of(network, settings):
    about = settings["optimizer"]
    matrices = [p for n, p in network.studio_names().items() if n.endswith(".weight")]
    others = [p for n, p in network.studio_names().items() if not n.endswith(".weight")]
    groups = [
        {"params": matrices, "weight_decay": about["weight_decay"]},
        {"params": others, "weight_decay": 0.0},
    ]
    if about["kind"] == "sgd":
        return torch.optim.SGD(groups, lr=settings["learning_rate"], momentum=about["momentum"])
    betas = (about["beta1"], about["beta2"])
    return torch.optim.AdamW(groups, lr=settings["learning_rate"], betas=betas, eps=about["epsilon"])


def rate(settings, step, total):
    """Warm-up and schedule, as the studio has them; steps from 1."""
    warmup = min(round(settings["warmup"] * total), total)
    if step < warmup:
        return settings["learning_rate"] * max(step, 1) / warmup
    progress = min((step - warmup) / max(total - warmup, 1), 1.0)
    share = {
        "constant": 1.0,
        "linear": 0.01 + 0.99 * (1 - progress),
        "cosine": 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)),
    }[settings["schedule"]]
    return settings["learning_rate"] * share


def with_torchao(network, config):
    """Dense layers on torchao's float8 training; parameters keep their names."""
    from torch import nn
    from torchao.float8 import Float8LinearConfig, convert_to_float8_training

    scaling = config["settings"]["precision"]["fp8"]["scaling"]
    recipe = TORCHAO.get(scaling["kind"])
    if scaling.get("high_precision_weight_gradient"):
        recipe = "rowwise_with_gw_hp"
    if recipe is None:
        raise SystemExit(f"torchao has no recipe like {scaling['kind']}; use --engine emulate")
    for name, layer in network.layers.items():
        if getattr(layer, "fp8", False):
            if layer.weight.dim() != 2:
                continue  # torchao has no convolutions; these stay emulated
            linear = nn.Linear(layer.weight.shape[1], layer.weight.shape[0])
            linear.weight, linear.bias = layer.weight, layer.bias
            holder = nn.Sequential(linear)
            convert_to_float8_training(holder, config=Float8LinearConfig.from_recipe_name(recipe))
            # Scores are taken as the studio takes them: only weights are rounded.
            trained, scored = holder[0].forward, layer.forward
            layer.forward = lambda x, layer=layer, trained=trained, scored=scored: (
                trained(x) if layer.training else scored(x)
            )


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--epochs", type=int)
    arguments.add_argument("--lr", type=float, help="peak learning rate")
    arguments.add_argument("--engine", choices=["emulate", "torchao"], default="emulate")
    arguments.add_argument("--out", type=Path, default=Path("result"))
    options = arguments.parse_args()

    folder = Path(__file__).resolve().parent
    config, weights, parts = read(folder)
    settings = dict(config["settings"])
    settings["epochs"] = options.epochs or settings["epochs"]
    settings["learning_rate"] = options.lr or settings["learning_rate"]
    classes = config["model"]["head"].get("count", 0)

    gpu = torch.cuda.is_available()
    together = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if together:
        dist.init_process_group("nccl" if gpu else "gloo")
    rank, world = (dist.get_rank(), dist.get_world_size()) if together else (0, 1)
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) if gpu else 0) if gpu else torch.device("cpu")

    network = Network(config).to(device)
    network.load(weights)
    before = score(network, parts["test"], classes, device)
    network.train()
    if options.engine == "torchao":
        with_torchao(network, config)
    optimizer = optimizer_of(network, settings)
    clip = settings.get("update", {}).get("clip_norm")

    train = parts["train"]
    rows = len(train["target"])
    batch = min(settings["batch_size"], rows)
    steps = math.ceil(rows / batch)
    best, best_loss, best_epoch, step = network.tensors(), math.inf, 0, 0
    for epoch in range(1, settings["epochs"] + 1):
        # Every process draws the same order and takes its share of each batch.
        torch.manual_seed(settings["seed"] * 1_000_003 + epoch)
        order = torch.randperm(rows)
        torch.manual_seed((settings["seed"] * 1_000_003 + epoch) * 64 + rank)
        total_loss = 0.0
        for start in range(0, rows, batch):
            step += 1
            whole = order[start : start + batch]
            mine = whole[rank::world]
            for group in optimizer.param_groups:
                group["lr"] = rate(settings, step, steps * settings["epochs"])
            optimizer.zero_grad()
            if len(mine):
                outputs = network(train["dense"][mine].to(device), train["categories"][mine].to(device))
                loss = loss_of(outputs, train["target"][mine].to(device), classes)
                # Weighted, so that the sum over processes is the mean over the batch.
                (loss * len(mine) / len(whole)).backward()
                total_loss += float(loss.detach()) * len(mine) / rows
            if together:
                for parameter in network.parameters():
                    if parameter.grad is None:
                        parameter.grad = torch.zeros_like(parameter)
                    dist.all_reduce(parameter.grad)
                # Every process has seen other rows; all go on with the mean of their statistics.
                for statistic in network.running().values():
                    dist.all_reduce(statistic)
                    statistic /= world
            if clip:
                torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
            optimizer.step()
        held_out = parts["validation"] if len(parts["validation"]["target"]) else train
        loss, metric = score(network, held_out, classes, device)
        if loss < best_loss:
            best, best_loss, best_epoch = network.tensors(), loss, epoch
        if together:
            both = torch.tensor([total_loss], device=device)
            dist.all_reduce(both)
            total_loss = float(both)
        if rank == 0:
            print(f"epoch {epoch}  loss {total_loss:.4f}  validation {loss:.4f}  score {metric:.4f}", flush=True)

    if together:
        # All processes hold the same weights, or the gradients were not shared.
        for name, tensor in sorted(network.tensors().items()):
            first = tensor.clone()
            dist.broadcast(first, 0)
            if not torch.equal(first, tensor):
                raise SystemExit(f"process {rank} has other weights in {name}")
    if rank == 0:
        network.load(best)
        loss, metric = score(network, parts["test"], classes, device)
        options.out.mkdir(parents=True, exist_ok=True)
        save_file({n: t.cpu() for n, t in best.items()}, options.out / "weights.safetensors")
        result = {
            "metric": "accuracy" if classes else "r2",
            "test_before": before[1],
            "test": metric,
            "test_loss": loss,
            "best_epoch": best_epoch,
            "epochs": settings["epochs"],
            "processes": world,
            "engine": options.engine,
            "torch": torch.__version__,
        }
        (options.out / "result.json").write_text(json.dumps(result, indent=2))
        print(f"test {before[1]:.4f} before, {metric:.4f} now; next: fp8-studio import {folder} -o model.safetensors")
    if together:
        # A process that leaves while another still works would end that one too.
        dist.barrier()
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
