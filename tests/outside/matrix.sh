#!/usr/bin/env bash
# Exports bundles of trained samples and lets several versions of onnxruntime, the model-signing
# package, mlcroissant, huggingface_hub and safetensors look at them. Too long for every test run;
# its last output is in tests/outside/matrix.txt.
#
#   tests/outside/matrix.sh [SAMPLE…] > tests/outside/matrix.txt
#
# FP8_STUDIO is the program, FP8_STUDIO_VENVS a folder for the Python environments.
set -euo pipefail
cd "$(dirname "$0")/../.."
studio="${FP8_STUDIO:-target/release/fp8-studio}"
venvs="${FP8_STUDIO_VENVS:-${XDG_CACHE_HOME:-$HOME/.cache}/fp8-studio/outside}"
versions=(1.19.2 1.30.0 1.32.0)
samples=("${@:-}")
[ -n "${samples[0]}" ] || \
    samples=(penguins german_credit adult_census digits fashion_mnist fashion_cnn fashion_resnet)
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

venv() { # NAME PACKAGE…
    local python="$venvs/$1/bin/python"
    if [ ! -x "$python" ]; then
        python3 -m venv "$venvs/$1"
        "$venvs/$1/bin/pip" install --quiet --disable-pip-version-check "${@:2}" >&2
    fi
    echo "$python"
}

for version in "${versions[@]}"; do venv "ort-$version" "onnxruntime==$version" numpy >/dev/null; done
tools="$(venv tools model-signing==1.1.1 pyopenssl mlcroissant huggingface_hub safetensors onnx numpy)"

for sample in "${samples[@]}"; do
    echo "== $sample"
    case "$sample" in
    fashion_cnn | fashion_resnet) cp -r projects/fashion_mnist "$work/$sample" ;;
    *) cp -r "projects/$sample" "$work/$sample" ;;
    esac
    hidden=()
    # The size that the issue of file sizes is measured on.
    [ "$sample" = fashion_mnist ] && hidden=(--model mlp --hidden 512,512)
    case "$sample" in *_cnn) hidden=(--model cnn) ;; *_resnet) hidden=(--model resnet) ;; esac
    "$studio" train "$work/$sample" --device cpu --epochs 3 --quiet "${hidden[@]}" >/dev/null
    "$studio" export "$work/$sample" --to bundle --with-test-rows --licence MIT \
        --key "$work/key.pem" -o "$work/bundle-$sample" >/dev/null
    bundle="$work/bundle-$sample"
    for version in "${versions[@]}"; do "$venvs/ort-$version/bin/python" "$bundle/check.py"; done
    "$tools" - "$bundle" <<'PY'
import json, sys
from pathlib import Path
import onnx
from huggingface_hub import ModelCard
from safetensors import safe_open

folder = Path(sys.argv[1])
size = {p.name: p.stat().st_size for p in folder.glob("model*.*")}
print("sizes:", size, f"portable / f32 = {size['model.onnx'] / size['model-f32.onnx']:.1%}")
for path in sorted(folder.glob("*.onnx")):
    onnx.checker.check_model(onnx.load(path), full_check=True)
print("onnx.checker: all models valid")
card = ModelCard.load(folder / "README.md")
metrics = [(r.metric_type, round(r.metric_value, 4)) for r in card.data.eval_results]
print("huggingface_hub reads the card:", card.data.pipeline_tag, card.data.license, metrics)
with safe_open(folder / "model.safetensors", "np") as file:
    kinds = {file.get_slice(k).get_dtype() for k in file.keys()}
print("safetensors:", sorted(kinds))
import mlcroissant
about = mlcroissant.Dataset(jsonld=json.loads((folder / "croissant.json").read_text()))
print("mlcroissant:", about.metadata.name, "is valid;", len(about.metadata.distribution), "file(s)")
PY
    verify() { "$tools" -m model_signing verify key "$bundle" --signature "$bundle/model.sig" \
        --public_key "$bundle/signer.pub" 2>&1 | tail -1; }
    echo "model-signing: $(verify)"
    printf 'x' | dd of="$bundle/model.onnx" bs=1 seek=100 conv=notrunc status=none
    echo "model-signing, one byte changed: $(verify)"
    echo "fp8-studio, one byte changed: $("$studio" predict "$bundle" "$work/$sample" 2>&1 | head -1)"
done
