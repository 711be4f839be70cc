#!/usr/bin/env bash
# Makes the demo bundle: phantoms, the image encoder, the drafter, all tasks, the bundle and its gallery. About six hours on two cores.
# Each step is skipped where its result is there already, so a broken run goes on where it stopped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
hilum() { cargo run --quiet --release -- "$@"; }

[ -d runs/data/validate ] || hilum phantom --seed 101 --count 500 --size 320 --split validate --out runs/data/validate
[ -d runs/data/train-256 ] || hilum phantom --seed 1000000 --count 7000 --size 256 --split train --out runs/data/train-256
[ -d runs/data/train-384 ] || hilum phantom --seed 2000000 --count 2500 --size 384 --split train --out runs/data/train-384
[ -d runs/data/train-more ] || hilum phantom --seed 3000000 --count 12000 --size 256 --split train --out runs/data/train-more
[ -d runs/data/fresh-256 ] || hilum phantom --seed 5000000 --count 18000 --size 256 --split train --out runs/data/fresh-256
[ -d runs/data/fresh-384 ] || hilum phantom --seed 6000000 --count 6000 --size 384 --split train --out runs/data/fresh-384
[ -d runs/data/last-256 ] || hilum phantom --seed 7000000 --count 9000 --size 256 --split train --out runs/data/last-256
[ -d runs/data/last-512 ] || hilum phantom --seed 8000000 --count 3500 --size 512 --split train --out runs/data/last-512
[ -d runs/data/gallery ] || hilum phantom --seed 4000000 --count 200 --size 384 --split train --out runs/data/gallery
hilum finetune engine/configs/demo-image.toml --device cpu --resume
hilum finetune engine/configs/demo-report.toml --device cpu --resume
hilum finetune engine/configs/demo-finish.toml --device cpu --resume
hilum finetune engine/configs/demo-joint.toml --device cpu --resume
hilum finetune engine/configs/demo-tasks.toml --device cpu --resume
hilum finetune engine/configs/demo-whole.toml --device cpu --resume
hilum finetune engine/configs/demo-drafter.toml --device cpu --resume
hilum finetune engine/configs/demo-close.toml --device cpu --resume
hilum finetune engine/configs/demo-words.toml --device cpu --resume
rm -rf www/models/demo
hilum export --from runs/demo-words --out www/models/demo --weights f16 --name demo --device cpu \
  --data "synthetic drawings of chest radiographs (phantoms) only, nothing of a patient: 58,000 phantoms at 256, 384 and 512 px (seeds 1000000, 2000000, 3000000, 5000000, 6000000, 7000000 and 8000000), 500 for validation (seed 101)" \
  --command "engine/configs/demo.sh"
# Its gate: phantoms of every size that it was trained on, and unseen ones of as many.
[ -d runs/data/validate-256 ] || hilum phantom --seed 102 --count 500 --size 256 --split validate --out runs/data/validate-256
[ -d runs/data/validate-512 ] || hilum phantom --seed 103 --count 500 --size 512 --split validate --out runs/data/validate-512
hilum gate fit --bundle www/models/demo --device cpu --data runs/data/last-256 --data runs/data/last-512 --data runs/data/fresh-384 \
  --data runs/data/validate --data runs/data/validate-256 --data runs/data/validate-512
hilum gallery build --bundle www/models/demo --data runs/data/gallery --count 200 --device cpu \
  --source "200 phantoms that training has not seen (seed 4000000); nothing of a patient"
