#!/usr/bin/env bash
# Zero-shot retrieval of figures by their captions (runs/data/figures: captions.jsonl and images/): Medical X-VL over three image encoders
# with three seeds each: one of NIH's films alone (films.sh, from random weights), one that learned phantoms before those films, and
# one of phantoms alone (check.sh). Nothing trained here is published: the figures' licences differ. Each step is skipped where its result is
# there already. HILUM names another build of the command.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export figures=runs/data/figures out=runs/figures HILUM=${HILUM:-cargo run --quiet --release --}
PYTHON=${PYTHON:-python3}
mkdir -p "$out"

# A config with another seed, folder and start.
pretrain() { # CONFIG NAME SEED INIT
  sed -e "s#^seed = .*#seed = $3#" -e "s#^out = .*#out = \"$out/$2\"#" -e "s#^init = .*#init = \"$4\"#" "engine/configs/$1.toml" > "$out/$2.toml"
  $HILUM pretrain "$out/$2.toml" --resume --device cpu
}
evaluate() { # NAME
  if [ ! -d "$out/$1.bundle" ]; then $HILUM export --from "$out/$1" --out "$out/$1.bundle" --weights f16 --name figures --device cpu; fi
  for split in validate test; do
    [ -f "$out/$1.$split.json" ] && continue
    $HILUM evaluate --bundle "$out/$1.bundle" --task retrieve --exact --trials 1000 --data "$figures" --split "$split" --device cpu --json \
      --out "$out/$1.$split.jsonl" > "$out/$1.partial"
    mv "$out/$1.partial" "$out/$1.$split.json"
  done
}
figures() { # START SEED
  local encoder
  case $1 in
    films) encoder=runs/films/random-$2 ;;
    phantoms-films) encoder=runs/films/phantoms-$2 ;;
    phantoms) encoder=runs/check-image-finish ;;
  esac
  pretrain figures-contrast "$1-$2-contrast" "$2" "$encoder"
  evaluate "$1-$2-contrast"
  pretrain figures "$1-$2" "$2" "$out/$1-$2-contrast"
  evaluate "$1-$2"
}
export -f pretrain evaluate figures

for seed in 0 1 2; do for start in films phantoms-films phantoms; do echo "$start $seed"; done; done |
  RAYON_NUM_THREADS=1 xargs -P 2 -L 1 bash -euo pipefail -c 'figures "$@"' _
"$PYTHON" engine/tables/figures.py "$out" > engine/tables/figures.md
