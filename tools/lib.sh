# What the gates share. Sourced by tools/check-*: goes to the root of the repository and offers
#   files PATTERN...   tracked and new files (not ignored ones) matching git pathspecs, one a line
#   bad MESSAGE        report an offender
#   finish NAME        exit 1 when anything was reported, else say what was looked at
set -u -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
n_bad=0

files() {
    git ls-files -co --exclude-standard -- "$@" | while IFS= read -r f; do
        [ -f "$f" ] && printf '%s\n' "$f"
    done
}

bad() {
    printf '%s\n' "$1"
    n_bad=$((n_bad + 1))
}

# Report every line of standard input.
bad_lines() {
    while IFS= read -r line; do
        bad "$line"
    done
}

finish() {
    if [ "$n_bad" -gt 0 ]; then
        printf '%s: %d found\n' "$(basename "$0")" "$n_bad"
        exit 1
    fi
    printf '%s: ok, %s\n' "$(basename "$0")" "$1"
}
