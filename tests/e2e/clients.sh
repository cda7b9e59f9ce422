#!/usr/bin/env bash
# tests/e2e/clients.sh KRS - every API against its makers' own clients (openai, @anthropic-ai/sdk) and the
# ai SDK, pinned.
# KRS: path of the program. Installs the pinned clients beside this script when they are not there yet.
# Prints one line per case and "N passed, N failed" last.
set -u
krs=$(realpath "${1:?usage: clients.sh path/to/krs}")
cd "$(dirname "$0")" || exit 1
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "FAILED  clients: needs node and npm"
    echo "0 passed, 1 failed"
    exit 1
fi
# npm ci checks the lock's hashes; the stamp keeps later runs off the network.
if ! cmp -s package-lock.json node_modules/.lock-installed; then
    if ! npm ci --omit=dev --no-audit --no-fund --ignore-scripts --loglevel=error; then
        echo "FAILED  clients: npm ci could not install the pinned clients"
        echo "0 passed, 1 failed"
        exit 1
    fi
    cp package-lock.json node_modules/.lock-installed
fi
exec node clients.mjs "$krs"
