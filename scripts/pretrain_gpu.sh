#!/usr/bin/env bash
# A longer pretraining of the small model on one GPU, with scenes rendered on all cores, into a folder to take home:
#
#     scripts/pretrain_gpu.sh folder [minutes]
#
# Run again with the same folder it goes on where it ended; scripts/ship_tiny.py puts the result into the package.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:?"usage: scripts/pretrain_gpu.sh folder [minutes]"}
minutes=${2:-60}
cores=$(nproc)
# 5.8 million images are seen, nine times as many as by the defaults of diffperc pretrain
timeout --signal=INT "${minutes}m" "${PYTHON:-python3}" -m diffperc.pretrain out="$out" device="${DEVICE:-cuda}" \
  scenes="${SCENES:-60000}" processes="$cores" num_workers=$((cores > 8 ? 8 : cores - 1)) \
  clip.steps=4000 clip.batch_size=256 \
  vae.steps=12000 vae.batch_size=64 \
  unet.steps=30000 unet.batch_size=128 unet.lr=1.5e-3 unet.keep_every=1000 \
  decoder.steps=6000 decoder.batch_size=32 "${@:3}" || status=$?
[ "${status:-0}" -eq 124 ] && echo "the time is over: $out holds what was done, and the same command goes on" && exit 0
exit "${status:-0}"
