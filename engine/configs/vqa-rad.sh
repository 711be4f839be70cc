#!/usr/bin/env bash
# Trains on VQA-RAD's published training questions from nothing and scores what it finds under the split `test`. Five minutes
# on two cores.
#
#   engine/configs/vqa-rad.sh FOLDER            all training questions; then the test questions, where FOLDER has test.jsonl
#   engine/configs/vqa-rad.sh FOLDER pictures   a tenth of the pictures is held out with all its questions, and scored
#
# FOLDER holds images/ and train.jsonl (and test.jsonl), or the publisher's JSON: see `hilum data`. For a choice among settings
# there is vqa-rad-split.py, which makes FOLDERs whose test questions are held out of train.jsonl.
set -euo pipefail
folder="$(cd "${1:?the folder of VQA-RAD}" && pwd)"
held="${2:-}"
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
hilum() { ${HILUM_BIN:-cargo run --quiet --release --} --device cpu "$@"; }

out="runs/vqa-rad-$(basename "$folder")${held:+-$held}"
mkdir -p "$out"
for part in vqa-rad-pictures vqa-rad; do
  sed -e "s|\"runs/data/vqa-rad\"|\"$folder\"|" -e "s|\"runs/vqa-rad|\"$out/vqa-rad|" \
    -e "s|^all = true|all = $([ -z "$held" ] && echo true || echo false)|" "engine/configs/$part.toml" >"$out/$part.toml"
  hilum finetune "$out/$part.toml" --resume
done
rm -rf "$out/bundle"
hilum export --from "$out/vqa-rad" --out "$out/bundle" --weights f16 --name vqa-rad \
  --data "VQA-RAD's training questions and pictures; no weights from elsewhere" --command "engine/configs/vqa-rad.sh"
if [ -n "$held" ] || [ -f "$folder/test.jsonl" ] || [ -f "$folder/testset.json" ]; then
  hilum evaluate --task vqa --bundle "$out/bundle" --data "$folder" --split "$([ -z "$held" ] && echo test || echo validate)" \
    --out "$out/answers.jsonl"
fi
