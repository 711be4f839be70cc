#!/usr/bin/env bash
# Zero-shot retrieval of figures of publications by their captions, and of captions by their figures: Medical X-VL with the image encoder of the
# demo of checking (phantoms, check.sh) and from random weights, three seeds each; by features alone, and with image-text matching after them.
# figures is a folder with captions.jsonl and images. Nothing trained here is published: licences differ by figure. An hour and a quarter on two
# cores. Each step is skipped where its result is there already. HILUM names another build of the command, PYTHON a Python with numpy and Pillow.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export figures=${figures:-runs/data/figures} out=runs/figures HILUM=${HILUM:-cargo run --quiet --release --}
PYTHON=${PYTHON:-python3}
mkdir -p "$out"
hilum() { $HILUM --device cpu "$@"; }

pretrain() { # CONFIG NAME SEED [START]
  local start='/^init/d'
  if [ $# = 4 ]; then start="s#^init = .*#init = \"$4\"#"; fi
  sed -e "s#^seed = .*#seed = $3#" -e "s#^out = .*#out = \"$out/$2\"#" -e "s#^roots = .*#roots = [\"$figures\"]#" -e "$start" \
    "engine/configs/$1.toml" > "$out/$2.toml"
  hilum pretrain "$out/$2.toml" --resume
}
score() { # NAME
  if [ ! -d "$out/$1.bundle" ]; then hilum export --from "$out/$1" --out "$out/$1.bundle" --weights f32 --name figures; fi
  for split in validate test; do
    local file="$out/$1.$split.json"
    [ -f "$file" ] && continue
    hilum evaluate --bundle "$out/$1.bundle" --task retrieve --exact --trials 1000 --data "$figures" --split "$split" --json \
      --out "$out/$1.$split.jsonl" > "$file.partial"
    mv "$file.partial" "$file"
  done
}
learn() { # START SEED
  local encoder=()
  if [ "$1" = phantoms ]; then encoder=(runs/check-image-finish); fi
  pretrain figures-contrast "$1-$2-contrast" "$2" "${encoder[@]}"
  score "$1-$2-contrast"
  pretrain figures "$1-$2" "$2" "$out/$1-$2-contrast"
  score "$1-$2"
  # The same model read by its features alone: whether it was matching that helped, or that it learned for longer.
  if [ ! -d "$out/$1-$2-features.bundle" ]; then
    rm -rf "$out/$1-$2.partial"
    cp -r "$out/$1-$2.bundle" "$out/$1-$2.partial"
    sed -i 's/"paths": "both"/"paths": "neither"/' "$out/$1-$2.partial/bundle.json"
    mv "$out/$1-$2.partial" "$out/$1-$2-features.bundle"
  fi
  score "$1-$2-features"
}
export -f hilum pretrain score learn

for seed in 0 1 2; do for start in phantoms random; do echo "$start $seed"; done; done |
  RAYON_NUM_THREADS=1 xargs -P 2 -L 1 bash -euo pipefail -c 'learn "$@"' _
"$PYTHON" engine/tables/figures.py "$out" "$figures" > engine/tables/figures.md
