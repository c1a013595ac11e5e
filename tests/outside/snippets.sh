#!/usr/bin/env bash
# Runs the short programs of a bundle in Python, Node.js, onnxruntime-web and Rust and compares their
# answers with the studio's. Downloads several hundred MB; the last output is in
# tests/outside/snippets.txt.
#
#   tests/outside/snippets.sh > tests/outside/snippets.txt
#
# FP8_STUDIO is the program, FP8_STUDIO_VENVS the folder of tests/outside/matrix.sh,
# FP8_STUDIO_NODE a folder where npm may install.
set -euo pipefail
cd "$(dirname "$0")/../.."
studio="${FP8_STUDIO:-target/release/fp8-studio}"
venvs="${FP8_STUDIO_VENVS:-${XDG_CACHE_HOME:-$HOME/.cache}/fp8-studio/outside}"
node="${FP8_STUDIO_NODE:-$venvs/node}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

mkdir -p "$node"
if [ ! -d "$node/node_modules/onnxruntime-node" ]; then
    # The scripts of the package fetch GPU libraries only.
    (cd "$node" && npm init -y && npm install --ignore-scripts onnxruntime-node onnxruntime-web) >&2
fi
cp -r projects/penguins "$work/penguins"
"$studio" train "$work/penguins" --device cpu --epochs 5 --quiet >/dev/null
"$studio" export "$work/penguins" --to bundle --with-test-rows --key "$work/key.pem" \
    -o "$work/bundle" >/dev/null
"$venvs/ort-1.32.0/bin/python" - "$work/bundle/golden.json" >"$work/wanted" <<'PY'
import json, sys
print("\n".join(json.load(open(sys.argv[1]))["models"]["model.onnx"]["label"]))
PY

compare() { # WHAT FILE WANTED
    if cmp -s "$2" "$3"; then echo "$1: $(wc -l <"$3") answers alike"; else
        echo "$1: WRONG"
        exit 1
    fi
}

"$venvs/ort-1.32.0/bin/python" "$work/bundle/snippets/predict.py" "$work/penguins/penguins.csv" >"$work/a"
"$studio" predict "$work/bundle/model.onnx" "$work/penguins/penguins.csv" 2>/dev/null |
    tail -n +2 | cut -d, -f2 >"$work/b"
compare "Python, all rows of the table" "$work/a" "$work/b"
# Modules are looked for beside the program.
cp -r "$work/bundle" "$node/bundle"
(cd "$node/bundle/snippets" && node predict.mjs) >"$work/a"
compare "onnxruntime-node" "$work/a" "$work/wanted"
sed 's/"onnxruntime-node"/"onnxruntime-web"/' "$work/bundle/snippets/predict.mjs" \
    >"$node/bundle/snippets/web.mjs"
(cd "$node/bundle/snippets" && node web.mjs) >"$work/a"
rm -r "$node/bundle"
compare "onnxruntime-web" "$work/a" "$work/wanted"
library=("$venvs"/ort-1.30.0/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so*)
(cd "$work/bundle/snippets/rust" && CARGO_TARGET_DIR="$venvs/rs" ORT_DYLIB_PATH="${library[0]}" \
    cargo run --quiet --release) >"$work/a"
compare "Rust" "$work/a" "$work/wanted"
