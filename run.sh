#!/usr/bin/env bash
# The paper's four steps in a row; arguments are passed on, such as: bash run.sh --cfg gtea --seed 1
set -euo pipefail
for stage in 1 2; do
    for mode in train test; do
        python main.py --stage "$stage" --mode "$mode" "$@"
    done
done
