#!/usr/bin/env bash
# Makes the bundle that checks reports: phantoms, the image encoder, words over it, matching, the bundle with its limits, its gate and its gallery. About
# an hour and a half on two cores. Each step is skipped where its result is there already, so a broken run goes on where it stopped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
hilum() { cargo run --quiet --release -- "$@"; }

[ -d runs/data/check-256 ] || hilum phantom --seed 11000000 --count 9000 --size 256 --split train --out runs/data/check-256
[ -d runs/data/check-384 ] || hilum phantom --seed 12000000 --count 3000 --size 384 --split train --out runs/data/check-384
[ -d runs/data/check-validate ] || hilum phantom --seed 104 --count 500 --size 320 --split validate --out runs/data/check-validate
hilum finetune engine/configs/check-image.toml --device cpu --resume
hilum finetune engine/configs/check-image-finish.toml --device cpu --resume
hilum pretrain engine/configs/check-words.toml --device cpu --resume
hilum pretrain engine/configs/check.toml --device cpu --resume
rm -rf www/models/check
hilum export --from runs/check --out www/models/check --weights f16 --name check --device cpu \
  --data "synthetic drawings of chest radiographs (phantoms) only, nothing of a patient: 12,000 phantoms at 256 and 384 px (seeds 11000000 and 12000000), 500 for validation (seed 104)" \
  --command "engine/configs/check.sh"
[ -d runs/data/check-gallery ] || hilum phantom --seed 4000000 --count 48 --size 320 --split train --out runs/data/check-gallery
hilum gallery build --bundle www/models/check --data runs/data/check-gallery --count 48 --device cpu \
  --source "48 phantoms that training has not seen (seed 4000000); nothing of a patient"
