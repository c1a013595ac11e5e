#!/usr/bin/env bash
# Exports trainings to PyTorch, goes on with them under torchrun with two gloo processes, and imports
# the results. PyTorch is too large for every test run; the last output is in
# tests/outside/pytorch.txt.
#
#   tests/outside/pytorch.sh > tests/outside/pytorch.txt
#
# FP8_STUDIO is the program, FP8_STUDIO_TORCH a Python with torch, safetensors and numpy.
set -euo pipefail
cd "$(dirname "$0")/../.."
studio="${FP8_STUDIO:-target/release/fp8-studio}"
python="${FP8_STUDIO_TORCH:-python3}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS=1

for case in penguins:current german_credit:mx digits:delayed digits:rowwise-hp \
    fashion_mnist:delayed:cnn:1 fashion_mnist:block:resnet:1 fashion_mnist:mx:depthwise:1; do
    IFS=: read -r sample recipe model epochs <<<"$case"
    echo "== $sample, $recipe${model:+, $model}"
    rm -rf "$work/$sample"
    cp -r "projects/$sample" "$work/$sample"
    "$studio" train "$work/$sample" --device cpu --recipe "$recipe" --epochs "${epochs:-3}" --quiet \
        ${model:+--model "$model"} >/dev/null
    folder="$work/torch-$sample-$recipe"
    "$studio" export "$work/$sample" --to pytorch -o "$folder" >/dev/null
    (cd "$folder" && "$python" -m torch.distributed.run --nproc-per-node 2 train.py --epochs $((2 * ${epochs:-3})) 2>/dev/null |
        sed "s|$work/||")
    (cd "$work" && "$studio" import "$folder" -o "$sample.safetensors" | grep -E 'Confirmed|Trained')
done
