#!/usr/bin/env bash
# tests/e2e/serve.sh KRS - the real server with the demo model against the real openai client and curl.
# KRS: path of the program. Installs the pinned client beside this script when it is not there yet.
# Prints one line per case and "N passed, N failed" last.
set -u
krs=$(realpath "${1:?usage: serve.sh path/to/krs}")
cd "$(dirname "$0")" || exit 1
if ! command -v node >/dev/null || ! command -v npm >/dev/null || ! command -v curl >/dev/null; then
    echo "FAILED  serve: needs node, npm and curl"
    echo "0 passed, 1 failed"
    exit 1
fi
# npm ci checks the lock's hashes; the stamp keeps later runs off the network.
if ! cmp -s package-lock.json node_modules/.lock-installed; then
    if ! npm ci --omit=dev --no-audit --no-fund --loglevel=error; then
        echo "FAILED  serve: npm ci could not install the pinned client"
        echo "0 passed, 1 failed"
        exit 1
    fi
    cp package-lock.json node_modules/.lock-installed
fi
exec node serve.mjs "$krs"
