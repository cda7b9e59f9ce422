#!/usr/bin/env bash
# tests/e2e/structured.sh KRS [FOLDER COUNT] - answers under a schema, against an independent validator (ajv, pinned).
# KRS: path of the program. FOLDER: of .jsonl files (or .jsonl.gz), a line {"data": schema}; COUNT of them are asked for
# beside our own. MODEL names another model than the demo, MAX_TOKENS the length of answers (300). Prints one line per case and "N passed, N failed" last.
set -u
krs=$(realpath "${1:?usage: structured.sh path/to/krs [folder count]}")
folder=$([ $# -gt 1 ] && realpath "$2")
cd "$(dirname "$0")" || exit 1
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "FAILED  structured: needs node and npm"
    echo "0 passed, 1 failed"
    exit 1
fi
# npm ci checks the lock's hashes; the stamp keeps later runs off the network.
if ! cmp -s package-lock.json node_modules/.lock-installed; then
    if ! npm ci --omit=dev --no-audit --no-fund --ignore-scripts --loglevel=error; then
        echo "FAILED  structured: npm ci could not install the pinned validator"
        echo "0 passed, 1 failed"
        exit 1
    fi
    cp package-lock.json node_modules/.lock-installed
fi
exec node structured.mjs "$krs" "$folder" "${3:-0}"
