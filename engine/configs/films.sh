#!/usr/bin/env bash
# Trains the films' classifier from three starts with three seeds, tests each on films of other patients, writes
# engine/tables/films.md, and publishes the ensemble of the start that does best on the validation films. runs/data/films is NIH's ChestX-ray14, or a part of it, in NIH's own layout
# (Data_Entry_2017.csv, BBox_List_2017.csv, images/, train_val_list.txt, val_list.txt, test_list.txt). About an hour on two cores,
# where two runs of one thread each go side by side: that is faster than one run of two. Each step is skipped where its result is
# there already, so a broken run goes on where it stopped. HILUM names another build of the command, PYTHON a Python with numpy and
# Pillow.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export films=runs/data/films out=runs/films HILUM=${HILUM:-cargo run --quiet --release --}
PYTHON=${PYTHON:-python3}
# The lungs' bounding box in the median film of JSRT, from its masks.
lungs=0.1,0.07,0.91,0.86
seeds="0 1 2"
starts="random phantoms unlabelled"
mkdir -p "$out"
hilum() { $HILUM --device cpu "$@"; }

# A config with another seed, folder and start.
train() { # FROM NAME SEED [INIT]
  sed -e "s#^seed = .*#seed = $3#" -e "s#^out = .*#out = \"$out/$2\"${4:+\ninit = \"$4\"\ninit_only = [\"image\"]}#" "engine/configs/$1.toml" > "$out/$2.toml"
  hilum finetune "$out/$2.toml" --resume
}

# A bundle of one run or of several, and its scores; a broken step leaves nothing.
evaluate() { # NAME RUN..
  local bundle="$out/$1.bundle" name=$1 from=()
  for run in "${@:2}"; do from+=(--from "$out/$run"); done
  if [ ! -d "$bundle" ]; then hilum export "${from[@]}" --out "$bundle" --weights f16 --name films; fi
  score "$name" json --bootstraps 1000
  score "$name" blank.json --blank "$lungs"
  score "$name" validate.json --split validate
}
score() { # NAME ENDING OPTION..
  local file="$out/$1.$2"
  [ -f "$file" ] && return
  hilum evaluate --bundle "$out/$1.bundle" --task findings --data "$films" --json "${@:3}" > "$file.partial"
  mv "$file.partial" "$file"
}
export -f hilum train evaluate score
export lungs

{
  echo films-views views 0
  for seed in $seeds; do echo films "phantoms-$seed" "$seed" www/models/demo; done
  for seed in $seeds; do echo films "random-$seed" "$seed"; done
  for seed in $seeds; do echo films "unlabelled-$seed" "$seed" "$out/views"; done
} | RAYON_NUM_THREADS=1 xargs -P 2 -L 1 bash -euo pipefail -c 'train "$@"' _
{
  for seed in $seeds; do for start in $starts; do echo "$start-$seed" "$start-$seed"; done; done
  echo phantoms-all phantoms-0 phantoms-1 phantoms-2
} | RAYON_NUM_THREADS=1 xargs -P 2 -L 1 bash -euo pipefail -c 'evaluate "$@"' _
"$PYTHON" engine/tables/films.py "$out" > engine/tables/films.md

# The bundle: the three seeds of the start that does best on the validation films.
bundle=www/models/films published="phantoms-0 phantoms-1 phantoms-2"
rm -rf "$bundle"
from=()
for run in $published; do from+=(--from "$out/$run"); done
hilum export "${from[@]}" --out "$bundle" --weights q8 --name films --command "engine/configs/films.sh" --data "1,352 chest radiographs \
(at 320 px, 166 more to validate) of NIH ChestX-ray14: provided by the NIH Clinical Center, https://nihcc.app.box.com/v/ChestXray-NIHCC, \
Wang et al., CVPR 2017; and, as its encoders begin with the demo's, phantoms"
# Its gate: phantoms, with which its encoders are at home, and two kinds of broken films.
own=runs/data/films-to-train-on broken=runs/data/films-broken drawn=runs/data/films-drawn
if [ ! -d "$drawn" ]; then hilum phantom --layout nih14 --count 150 --size 320 --seed 888 --out "$drawn"; fi
if [ ! -d "$broken" ]; then
  mkdir -p "$own"
  grep -vxFf "$films/val_list.txt" "$films/train_val_list.txt" | while read -r name; do ln -sf "$PWD/$films/images/$name" "$own/$name"; done
  "$PYTHON" tests/gate/make_foreign.py "$broken" --own "$own"
fi
hilum gate fit --bundle "$bundle" --data "$films" --unlike "$drawn/images" --unlike "$broken/cropped" --unlike "$broken/upside_down"
hilum gallery build --bundle "$bundle" --data "$films" --split train --count 1000 --no-pictures \
  --source "codes and labels of 1,000 of the training films; no film"
hilum evaluate --bundle "$bundle" --task findings --data "$films" --bootstraps 1000 \
  --record "489 films of 426 other patients of NIH ChestX-ray14" --json > "$out/published.json"
hilum evaluate --bundle "$bundle" --task retrieve --data "$films" --json > "$out/published.retrieve.json"
