#!/usr/bin/env bash
# tests/e2e/stdio.sh KRS - krs stdio and krs serve --rpc-socket against the wire contract, by a client that reads as
# the contract's own client does. Prints one line per case and "N passed, N failed" last.
set -u
krs=$(realpath "${1:?usage: stdio.sh path/to/krs}")
cd "$(dirname "$0")" || exit 1
if ! command -v node >/dev/null; then
    echo "FAILED  stdio: needs node"
    echo "0 passed, 1 failed"
    exit 1
fi
exec node stdio.mjs "$krs"
