#!/usr/bin/env bash
# Trains the films' classifier from three starts with three seeds, tests each on films of other patients, and writes
# engine/tables/films.md. runs/data/films is NIH's ChestX-ray14, or a part of it, in NIH's own layout (Data_Entry_2017.csv,
# BBox_List_2017.csv, images/, train_val_list.txt, val_list.txt, test_list.txt). About an hour and a half on two cores.
# Each step is skipped where its result is there already, so a broken run goes on where it stopped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
hilum() { cargo run --quiet --release -- --device cpu "$@"; }
films=runs/data/films out=runs/films
# The lungs' bounding box in the median film of JSRT, from its masks.
lungs=0.1,0.07,0.91,0.86
mkdir -p "$out"

# A config with another seed, folder and start.
config() { # FROM NAME SEED [INIT]
  sed -e "s#^seed = .*#seed = $3#" -e "s#^out = .*#out = \"$out/$2\"${4:+\ninit = \"$4\"\ninit_only = [\"image\"]}#" "engine/configs/$1.toml" > "$out/$2.toml"
  hilum finetune "$out/$2.toml" --resume
}

# A run's scores on the test films; a broken evaluation leaves nothing.
evaluate() { # RUN ENDING OPTION..
  [ -f "$1.$2" ] && return
  hilum evaluate --bundle "$1.bundle" --task findings --data "$films" --json "${@:3}" > "$1.partial"
  mv "$1.partial" "$1.$2"
}

for seed in 0 1 2; do
  config films-views "views-$seed" "$seed"
  config films "random-$seed" "$seed"
  config films "phantoms-$seed" "$seed" www/models/demo
  config films "unlabelled-$seed" "$seed" "$out/views-$seed"
  for start in random phantoms unlabelled; do
    run="$out/$start-$seed"
    [ -d "$run.bundle" ] || hilum export --from "$run" --out "$run.bundle" --weights f16 --name films
    evaluate "$run" json --bootstraps 1000
    evaluate "$run" blank.json --blank "$lungs"
  done
done
python3 engine/tables/films.py "$out" > engine/tables/films.md
