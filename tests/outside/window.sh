#!/usr/bin/env bash
# The program in a real window on a virtual screen, driven by the keyboard alone: open a sample, train
# it, look at the result, try the model, and close. Needs Xvfb, xdotool and, for pictures, imagemagick.
#
#     tests/outside/window.sh PROGRAM [FOLDER FOR PICTURES]
set -euo pipefail
program=$1
pictures=${2:-}
home=$(mktemp -d)
display=":$((90 + RANDOM % 9))"
Xvfb "$display" -screen 0 1280x800x24 >/dev/null 2>&1 &
screen=$!
trap 'kill "${window:-}" "$screen" 2>/dev/null || true; rm -rf "$home"' EXIT
export DISPLAY=$display HOME=$home XDG_RUNTIME_DIR=$home
unset WAYLAND_DISPLAY XDG_DATA_HOME XDG_CONFIG_HOME
sleep 2

begin=$(date +%s%N)
"$program" &
window=$!
for _ in $(seq 300); do
    xdotool search --name "FP8 Studio" >/dev/null 2>&1 && break
    sleep 0.1
done
echo "window after $((($(date +%s%N) - begin) / 1000000)) ms"
sleep 4
xdotool mousemove 640 700
# Without a window manager nobody gives the window the keyboard.
xdotool windowfocus --sync "$(xdotool search --name "FP8 Studio" | tail -1)"

keys() { xdotool key --delay 60 "$@"; sleep 1; }
picture() { if [ -n "$pictures" ]; then import -window root "$pictures/$1.png"; fi; }
# A command of the palette by its name.
run() { keys ctrl+k; xdotool type --delay 40 "$1"; sleep 1; keys Return; sleep 2; }

picture 1-home
run "sample penguins"
sleep 4
picture 2-data
run "preset fast"
run "start training"
for _ in $(seq 240); do
    grep -q '"state": "done"' "$home"/.local/share/fp8-studio/projects/penguins/runs/*/run.json \
        2>/dev/null && break
    sleep 0.5
done
run_json=$(ls "$home"/.local/share/fp8-studio/projects/penguins/runs/*/run.json)
grep -q '"state": "done"' "$run_json"
echo "trained: $(grep -c . "${run_json%run.json}events.jsonl") events"
sleep 3
picture 3-train
run "try the model"
sleep 6
picture 4-try
keys ctrl+h
sleep 2
picture 5-runs
keys ctrl+p
sleep 2
picture 6-playground
keys Escape
kill -0 "$window"
kill -TERM "$window"
wait "$window" 2>/dev/null || true
echo "closed"
