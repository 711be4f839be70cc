#!/usr/bin/env bash
# Few-shot COVID-19 (Table 5 of Medical X-VL's paper, in small): the image encoder of Medical X-VL against random weights, SimCLR, DINO and SimMIM
# of the same ViT, all pre-trained on the same phantoms; tested on films of held-out patients and on films of other hospitals.
# collection, hannover and films are folders of the COVID-19 Image Data Collection, of Hannover's and of NIH ChestX-ray14 (in NIH's
# layout). Nothing trained here is published: licences differ by film. Each step is skipped where its result is there already. HILUM names
# another build of the command, PYTHON a Python with numpy and Pillow.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export out=runs/covid HILUM=${HILUM:-cargo run --quiet --release --}
PYTHON=${PYTHON:-python3}
collection=${collection:-runs/data/covid_cxr} hannover=${hannover:-runs/data/hannover} films=${films:-runs/data/films}
seeds="0 1 2"
methods="xvl simclr dino simmim"
# The lungs' bounding box in the median film of JSRT, from its masks.
export lungs=0.1,0.07,0.91,0.86
mkdir -p "$out"
hilum() { $HILUM --device cpu "$@"; }

if [ ! -d runs/data/covid-phantoms ]; then
  hilum phantom --layout mimic-cxr --count 3000 --size 128 --seed 4711 --out runs/data/covid-phantoms
fi
if [ ! -d runs/data/covid ]; then "$PYTHON" engine/tables/covid_films.py "$collection" "$hannover" "$films" runs/data; fi

pretrain() { # METHOD
  local config="$out/$1.toml" from=engine/configs/covid-pretrain.toml
  if [ "$1" = xvl ]; then
    cp "$from" "$config"
  else
    {
      sed -e "s#^out = .*#out = \"$out/$1\"#" -e "s#^\[model\]#[model]\nimage_alone = \"$1\"#" -e '/^\[objectives\]/,$d' "$from"
      if [ "$1" != simmim ]; then printf '[data.augment]\nshift = 0.08\ncontrast = 0.4\nbrightness = 0.2\ncrop = [0.4, 1.0]\nrotation = 10.0\nflip = true\n\n'; fi
      printf '[objectives]\n%s = 1.0\n\n' "$1"
      sed -n '/^\[optim\]/,$p' "$from"
    } > "$config"
  fi
  hilum pretrain "$config" --resume
}
tune() { # METHOD SEED
  local name=$1-$2 start=""
  if [ "$1" != random ]; then start="init = \"$out/$1\"\ninit_only = [\"visual_encoder\"]"; fi
  sed -e "s#^seed = .*#seed = $2\n$start#" -e "s#^out = .*#out = \"$out/$name\"#" engine/configs/covid.toml > "$out/$name.toml"
  hilum finetune "$out/$name.toml" --resume
  if [ ! -d "$out/$name.bundle" ]; then hilum export --from "$out/$name" --out "$out/$name.bundle" --weights f32 --average --name covid; fi
  score "$name" own covid
  score "$name" external covid-external
  score "$name" blank covid-external --blank "$lungs"
}
score() { # NAME ENDING DATA OPTION..
  local file="$out/$1.$2.json"
  [ -f "$file" ] && return
  hilum evaluate --bundle "$out/$1.bundle" --task findings --data "runs/data/$3" --json "${@:4}" > "$file.partial"
  mv "$file.partial" "$file"
}
export -f hilum pretrain tune score

printf '%s\n' $methods | RAYON_NUM_THREADS=1 xargs -P 2 -L 1 bash -euo pipefail -c 'pretrain "$@"' _
for seed in $seeds; do for method in random $methods; do echo "$method $seed"; done; done |
  RAYON_NUM_THREADS=1 xargs -P 2 -L 1 bash -euo pipefail -c 'tune "$@"' _
"$PYTHON" engine/tables/covid.py "$out" runs/data > engine/tables/covid.md
