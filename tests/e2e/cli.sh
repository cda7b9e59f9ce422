#!/usr/bin/env bash
# tests/e2e/cli.sh KRS - the command line as a user types it: answers, errors, exit codes.
# KRS: path of the program. Prints one line per case and "N passed, N failed" last.
set -u
krs=$(realpath "${1:?usage: cli.sh path/to/krs}")
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root" || exit 1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0
failed=0

verdict() { # name ok(0/1) detail
    if [ "$2" -eq 0 ]; then
        passed=$((passed + 1))
        echo "ok      $1"
    else
        failed=$((failed + 1))
        echo "FAILED  $1: $3"
    fi
}

# expect NAME CODE PATTERN command...: exit code equals CODE and the output has a match of PATTERN.
expect() {
    local name=$1 code=$2 pattern=$3
    shift 3
    local out got
    out=$("$@" 2>&1 < /dev/null)
    got=$?
    if [ "$got" -eq "$code" ] && grep -qE -- "$pattern" <<< "$out"; then
        verdict "$name" 0 ""
    else
        verdict "$name" 1 "exit $got (want $code), output: ${out:0:300}"
    fi
}

# equal NAME WANT GOT
equal() {
    if [ "$2" = "$3" ]; then verdict "$1" 0 ""; else verdict "$1" 1 "want «${2:0:200}», got «${3:0:200}»"; fi
}

# Help, manual, completion, version.
expect "help lists the commands" 0 "tokenize" "$krs" --help
expect "no arguments is a usage error" 2 "usage: krs" "$krs"
expect "version" 0 "^krs [0-9]+\.[0-9]+\.[0-9]+$" "$krs" version
expect "unknown command" 2 "unknown command \"srve\"; did you mean serve\?" "$krs" srve
for id in "" "a b" "it's"; do
    expect "a model id «$id» is refused" 2 "^krs: --model-id: \"$id\"" "$krs" serve models/demo --port 0 --model-id "$id"
done
expect "help for an unknown command" 2 "unknown command \"srve\"" "$krs" help srve
expect "help despite a wrong variable" 0 "usage: krs run" env KRS_TEMPERATURE=9 "$krs" run --help
expect "a wrong variable is named" 2 "^krs: environment variable KRS_TEMPERATURE: .*0\.\.2" env KRS_TEMPERATURE=9 "$krs" run models/demo hi
expect "an error as JSON although --json comes after it" 2 '^\{"error":.*"code":"KRS_EINVAL".*--prt' "$krs" serve models/demo --prt 1 --json
expect "unknown option" 2 "unknown option --prt" "$krs" serve models/demo --prt 1
expect "option out of range" 2 "port: \"99999\"" "$krs" serve models/demo --port 99999
for command in serve run chat tokenize detokenize template inspect verify logits embed synth quantize bench config keys completion man version; do
    expect "$command --help" 0 "usage: krs $command" "$krs" "$command" --help
done
keys=$scratch/keys
expect "a key and its line" 0 "^krs-[0-9a-f]{64}$" "$krs" keys new alice -q
"$krs" keys new alice -q | tail -1 >"$keys"
expect "the line is one the server reads" 0 "^1 keys of 1 names" "$krs" keys check "$keys"
expect "a key's name is checked" 2 "want a name of" "$krs" keys new "a b"
expect "a second word for keys" 2 "want new NAME or check FILE" "$krs" keys make alice
printf 'bob sha256:1234\n' >>"$keys"
expect "a wrong line is named" 5 "line 2: want sha256:" "$krs" keys check "$keys"
equal "docs/cli.md is what krs man markdown prints" "$(cat docs/cli.md)" "$("$krs" man markdown)"
equal "docs/rpc.md is what krs man rpc prints" "$(cat docs/rpc.md)" "$("$krs" man rpc)"
equal "docs/config.md is what krs config docs prints" "$(cat docs/config.md)" "$("$krs" config docs)"
equal "the version is CMake's" "krs $(sed -n 's/^project(kr-serve VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)" "$("$krs" version)"
expect "manual page" 0 "^\.TH KRS 1" "$krs" man
for shell in bash zsh fish; do expect "$shell completion" 0 "krs" "$krs" completion $shell; done
"$krs" completion bash > "$scratch/completion.bash"
expect "the bash completion is valid" 0 "" bash -n "$scratch/completion.bash"
complete_at() { # N WORDS...: what bash offers for word N
    local n=$1
    shift
    bash -c "source '$scratch/completion.bash'; COMP_WORDS=(\"\$@\"); COMP_CWORD=$n; _krs; printf '%s\n' \"\${COMPREPLY[@]}\"" bash "$@"
}
equal "completion of a command" "run" "$(complete_at 1 krs ru)"
equal "completion of help" "serve" "$(complete_at 2 krs help s | head -1)"
equal "completion of an option" "--temperature" "$(complete_at 2 krs run --te)"
equal "completion of a choice" "affine4 affine8" "$(complete_at 3 krs synth --dtype a | paste -sd ' ')"
mkdir "$scratch/a model" "$scratch/10"
equal "completion of a folder that is a number" "10" "$(cd "$scratch" && complete_at 2 krs run 1)"
equal "completion of a folder with a blank" "$scratch/a model" "$(complete_at 2 krs run "$scratch/a")"

# The file of options.
cat > "$scratch/krs.yaml" << 'END'
model: models/demo
port: 0
environments:
  small:
    max-seqs: 2
  loud:
    log-level: debug
END
expect "config check" 0 "krs.yaml: ok; environments: small, loud\$" "$krs" config check "$scratch/krs.yaml"
expect "config check of an environment" 2 "no environment smal; did you mean small\?" env KRS_ENV=smal "$krs" config check "$scratch/krs.yaml"
shown() { "$krs" config show "$@" --json | jq -r "$filter"; }
filter='."max-seqs" | "\(.value) \(.source)"'
equal "config show: a default" "16 default" "$(shown "$scratch/krs.yaml")"
equal "config show: an environment" "2 $scratch/krs.yaml:5, environment small" "$(shown "$scratch/krs.yaml" --env small)"
equal "config show: a variable" "3 KRS_MAX_SEQS" "$(KRS_MAX_SEQS=3 shown "$scratch/krs.yaml" --env small)"
equal "config show: a flag" "4 --max-seqs" "$(KRS_MAX_SEQS=3 shown "$scratch/krs.yaml" --env small --max-seqs 4)"
"$krs" config show "$scratch/krs.yaml" --env small > "$scratch/shown.yaml"
expect "what config show prints is a file of options" 0 ": ok\$" "$krs" config check "$scratch/shown.yaml"
filter='map_values(.value) | del(.config, .env, .json)'
equal "which says the same" "$(shown "$scratch/krs.yaml" --env small)" "$(shown "$scratch/shown.yaml")"
printf 'max-seq: 2\nenvironments:\n  small:\n    prot: 1\n    threads: x\n' > "$scratch/bad.yaml"
expect "config check names an unknown key" 2 "bad.yaml:1: unknown option max-seq; did you mean max-seqs\?" "$krs" config check "$scratch/bad.yaml"
equal "and every other fault" "3" "$("$krs" config check "$scratch/bad.yaml" --json | jq '.faults | length')"
expect "config check of no file" 2 "which FILE" "$krs" config check
expect "config of a wrong word" 2 "want check, show or docs" "$krs" config chek
expect "a mistyped variable is noted" 0 "KRS_MAX_SEQ is no option; did you mean KRS_MAX_SEQS\?" env KRS_MAX_SEQ=3 "$krs" config check "$scratch/krs.yaml"
expect "serve refuses a faulty file" 2 "bad.yaml:1: unknown option max-seq" "$krs" serve --config "$scratch/bad.yaml"
expect "serve refuses an environment without a file" 2 "want --config too" "$krs" serve models/demo --env small

# Answers.
sum="12 + 7 = 19."
equal "run" "$sum" "$("$krs" run models/demo "What is 12 + 7?")"
equal "run on the reference device" "$sum" "$("$krs" run models/demo "What is 12 + 7?" --device ref)"
equal "run with exact activations" "$sum" "$("$krs" run models/demo "What is 12 + 7?" --activations exact)"
equal "run with a prompt from standard input" "$sum" "$(printf 'What is 12 + 7?' | "$krs" run models/demo)"
expect "run --json" 0 '"text":"12 \+ 7 = 19\.".*"finish_reason":"stop"' "$krs" run models/demo "What is 12 + 7?" --json
equal "run --max-tokens" "length" "$("$krs" run models/demo "Tell me a story about a fox." --max-tokens 3 --json | jq -r .finish_reason)"
equal "run --stop" "12 + 7" "$("$krs" run models/demo "What is 12 + 7?" --stop " =")"
equal "the same seed, the same words" \
    "$("$krs" run models/demo "Tell me a story." --temperature 1 --seed 5)" \
    "$("$krs" run models/demo "Tell me a story." --temperature 1 --seed 5)"
equal "chat from a pipe" "$(printf '%s\n90 - 37 = 53.' "$sum")" "$(printf 'What is 12 + 7?\n90 - 37 = ?\n' | "$krs" chat models/demo -q)"

expect "a prompt that is no UTF-8 is refused" 2 "^krs: user: byte 2 is not UTF-8" "$krs" run models/demo $'ab\xff' -q
expect "a system message that is no UTF-8 is refused" 2 "^krs: system: byte 0 is not UTF-8" "$krs" run models/demo hi -q --system $'\xff'
equal "chat goes on after a line that is no UTF-8" "$sum" "$(printf 'a\xffb\nWhat is 12 + 7?\n' | "$krs" chat models/demo -q 2> "$scratch/chat.err")"
equal "and says why" "krs: user: byte 1 is not UTF-8" "$(cat "$scratch/chat.err")"

equal "with --json standard error is JSON" "KRS_EINVAL" "$("$krs" run models/demo hi --json --stop '' 2>&1 | jq -r .error.code)"

# Output that goes nowhere.
for command in "run models/demo hi -q" "run models/demo hi -q --json" "inspect models/demo" version "man"; do
    expect "$command on a full disk" 15 "^krs: standard output: No space left" bash -c "'$krs' $command > /dev/full"
done
mkfifo "$scratch/left" # the only reader, descriptor 3, is closed before the first byte
expect "a reader that leaves is no news" 0 "^code 15\$" \
    bash -c "exec 3<>'$scratch/left' 4>'$scratch/left' 3<&-; '$krs' man >&4 2>&1; echo code \$?"

# Typed at a terminal, which script(1) is: Ctrl-C clears the line, Ctrl-D ends.
appears() { # PATTERN: wait until the terminal shows it, 20 s at most
    for _ in $(seq 200); do grep -q -- "$1" "$scratch/terminal" && return; sleep 0.1; done
}
: > "$scratch/terminal"
{ appears "> "; printf 'hälf'; appears "hälf"; printf '\003What is 12 + 7?\r'; appears "$sum"; printf '\004'; } |
    script -qefc "'$krs' chat models/demo -q" "$scratch/terminal" > /dev/null
expect "Ctrl-C clears a line and nothing else" 0 "^12 \+ 7 = 19\." cat "$scratch/terminal"

# Text tools.
text='Hello, wörld! 12 + 7 <|im_end|>'
ids=$(printf '%s' "$text" | "$krs" tokenize --model models/demo)
equal "tokenize and detokenize return the text" "$text" "$(printf '%s' "$ids" | "$krs" detokenize --model models/demo)"
equal "detokenize --skip-special" "Hello, wörld! 12 + 7 " "$(printf '%s' "$ids" | "$krs" detokenize --model models/demo --skip-special)"
gzip -c models/demo/tokenizer.json > "$scratch/tokenizer.json.gz"
equal "a gzipped tokenizer is read" "$ids" "$(printf '%s' "$text" | "$krs" tokenize --model "$scratch/tokenizer.json.gz")"
equal "tokenize --jsonl" "2" "$(printf '"a b"\n"c"\n' | "$krs" tokenize --model models/demo --jsonl | wc -l)"
expect "detokenize refuses what is no list of ids" 2 "krs: " bash -c "echo '{}' | '$krs' detokenize --model models/demo"
cat > "$scratch/input.json" << 'END'
{"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": true}
END
equal "template render" "$(printf '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n.')" \
    "$("$krs" template render --model models/demo --input "$scratch/input.json"; printf .)"

# Models.
expect "inspect" 0 "qwen3" "$krs" inspect models/demo
expect "verify" 0 "unknown  [0-9a-f]{64}  model.safetensors" "$krs" verify models/demo
cp -r models/demo "$scratch/verified"
(cd "$scratch/verified" && sha256sum ./* > "$scratch/sums" && mv "$scratch/sums" SHA256SUMS)
expect "verify: a list that is right" 0 "right    [0-9a-f]{64}  model.safetensors" "$krs" verify "$scratch/verified"
echo >> "$scratch/verified/tokenizer.json"
expect "verify: a file that differs" 5 "wrong .*tokenizer.json" "$krs" verify "$scratch/verified"
rm "$scratch/verified/tokenizer.json"
expect "verify: a file that is gone" 3 "tokenizer.json is not in the folder" "$krs" verify "$scratch/verified"
expect "verify --json" 0 '"not_finite":\[\]' "$krs" verify models/demo --json
expect "inspect --json" 0 'qwen3' "$krs" inspect models/demo --json
"$krs" logits --model models/demo --tokens 1,2,3 --out "$scratch/a.f32" --device ref
equal "logits are [n_tokens, vocab] float32" $((3 * 2048 * 4)) "$(stat -c %s "$scratch/a.f32")"
"$krs" logits --model models/demo --tokens 1,2,3 --out "$scratch/b.f32" --device ref --step
expect "prefill and step agree bit for bit" 0 "" cmp "$scratch/a.f32" "$scratch/b.f32"
ln -s /dev/stdout "$scratch/stdout" # links, so that no mistake can harm the devices
equal "logits into a pipe" 8192 "$("$krs" logits --model models/demo --tokens 1 --out "$scratch/stdout" | wc -c)"
ln -s /dev/full "$scratch/full"
expect "logits onto a full disk" 15 "^krs: write full: No space left" "$krs" logits --model models/demo --tokens 1 --out "$scratch/full"
expect "which is still a device" 0 "" test -c "$scratch/full"
# Texts to vectors: a decoder, and an encoder that is nothing else.
equal "embed: a vector a text" "2 256" "$("$krs" embed -q --model models/demo "A fox." "A bear." | jq -s '"\(length) \(.[0] | length)"' -r)"
equal "embed: from standard input" "$("$krs" embed -q --model models/demo "A fox.")" "$(printf 'A fox.' | "$krs" embed -q --model models/demo)"
equal "embed: lines of JSON" "$("$krs" embed -q --model models/demo "A fox." "A bear.")" "$(printf '"A fox."\n"A bear."\n' | "$krs" embed -q --model models/demo --jsonl)"
expect "embed --json" 0 '"dimensions": 256, "prompt_tokens": [1-9][0-9]*, "embeddings": \[\[' "$krs" embed --model models/demo --json "A fox."
expect "embed: an empty text" 2 "^krs: input: empty" "$krs" embed -q --model models/demo
expect "embed: no model" 2 "^krs: --model: missing" "$krs" embed "A fox."
expect "embed: tokens go with --hidden" 2 "^krs: embed: --tokens and --out go with --hidden" "$krs" embed --model models/demo --tokens 1
golden=tests/data/golden-embed
expect "embed --hidden" 0 '"n_tokens":3,"hidden":64' "$krs" embed --model $golden/mpnet --hidden --tokens 5,6,7 --out "$scratch/h.f32" --json
equal "hidden states are [n_tokens, hidden] float32" $((3 * 64 * 4)) "$(stat -c %s "$scratch/h.f32")"
equal "embed --hidden is the reference's, on ref" ok "$("$krs" embed --model $golden/bert --device ref --hidden --tokens "$(jq -c '.ids[0]' $golden/bert/golden.json)" --out "$scratch/h.f32" &&
    paste <(od -An -v -w4 -tf4 "$scratch/h.f32") <(od -An -v -w4 -tf4 -N 10240 $golden/bert/hidden.f32) |
    awk '{ e += ($1 - $2)^2; w += $2^2 } END { print NR == 2560 && e <= 1e-8 * w ? "ok" : e / w }')"
expect "embed --hidden: a text is one step" 2 "^krs: tokens: more than the model's context of 128" "$krs" embed --model $golden/roberta --hidden --tokens "$(seq -s, 2 131)" --out "$scratch/h.f32"
expect "logits of an encoder" 6 "^krs: model: bert gives no logits, only hidden states" "$krs" logits --model $golden/bert --tokens 1 --out "$scratch/h.f32"
cat > "$scratch/bert.json" << 'END'
{"architectures": ["BertModel"], "model_type": "bert", "vocab_size": 2048, "hidden_size": 64, "intermediate_size": 128,
 "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 96, "type_vocab_size": 2,
 "layer_norm_eps": 1e-12, "hidden_act": "gelu", "torch_dtype": "bfloat16"}
END
"$krs" synth -q --config "$scratch/bert.json" --seed 3 "$scratch/bert" --tokenizer models/demo
equal "an encoder embeds" 64 "$("$krs" embed -q --model "$scratch/bert" "A fox in a boat." | jq length)"
expect "an encoder does not answer" 6 "^krs: model: bert \(bert\) gives embeddings, not answers" "$krs" run -q --raw "$scratch/bert" hi
expect "an encoder's longest text" 7 "^krs: input: [0-9]+ tokens, want at most 96" "$krs" embed -q --model "$scratch/bert" "$(printf 'fox %.0s' {1..200})"
expect "inspect of an encoder" 0 "context       96 tokens, rope none" "$krs" inspect "$scratch/bert"
expect "verify of an encoder" 0 "204416 values" "$krs" verify "$scratch/bert"
expect "cuda without a CUDA build" 6 "krs: .*[Cc][Uu][Dd][Aa]" "$krs" run models/demo hi --device cuda:0
expect "synth" 0 "" "$krs" synth --config models/demo/config.json --dtype affine4 --seed 7 "$scratch/m1" --tokenizer models/demo
"$krs" synth --config models/demo/config.json --dtype affine4 --seed 7 "$scratch/m2" -q
expect "the same seed, the same weights" 0 "" cmp "$scratch/m1/model.safetensors" "$scratch/m2/model.safetensors"
expect "a synth model runs" 0 "" "$krs" run "$scratch/m1" "Hi" --max-tokens 4
"$krs" synth --config models/demo/config.json --dtype bf16 --seed 7 "$scratch/m4" -q --tokenizer models/demo
expect "quantize" 0 "matrices quantised to 4.50 bits a weight" "$krs" quantize "$scratch/m4" "$scratch/q4"
equal "quantize describes what it wrote" "64 4 null" "$(jq -r '.quantization | "\(.group_size) \(.bits) \(.mode)"' "$scratch/q4/config.json")"
expect "a quantised model runs" 0 "" "$krs" run "$scratch/q4" "Hi" --max-tokens 4
expect "quantize keeps a model that is there" 4 "q4 holds a model already: config.json \(--force replaces it\)" "$krs" quantize "$scratch/m4" "$scratch/q4"
expect "quantize, told to" 0 '"bits_per_weight": *4.25' "$krs" quantize "$scratch/m4" "$scratch/q4" --force --mode mxfp4 --json
expect "inspect tells the mode" 0 "quantisation  mxfp4, 4 bits, groups of 32" "$krs" inspect "$scratch/q4"
expect "a model of another mode runs" 0 "" "$krs" run "$scratch/q4" "Hi" --max-tokens 4
expect "quantize of what is quantised" 6 "quantised already: config.json has quantization" "$krs" quantize "$scratch/q4" "$scratch/q5"
expect "quantize of a file" 0 "" "$krs" quantize "$scratch/m4/model.safetensors" "$scratch/w.safetensors" --mode nvfp4
expect "quantize keeps a file that is there" 4 "exists already" "$krs" quantize "$scratch/m4/model.safetensors" "$scratch/w.safetensors"
expect "quantize with bits that are none" 2 "7 bits, want 2, 3, 4, 5, 6 or 8" "$krs" quantize "$scratch/m4" "$scratch/q6" --bits 7
expect "quantize onto itself" 2 "SRC and OUT are the same" "$krs" quantize "$scratch/m4" "$scratch/m4" --force
expect "bench" 0 '"decode_tokens_per_s": *[0-9]' "$krs" bench models/demo --prompt-tokens 32 --gen-tokens 4 --repeat 1 --json
expect "bench of exact activations says so" 0 "cpu: .*, exact rows" "$krs" bench models/demo --prompt-tokens 32 --gen-tokens 4 --repeat 1 --activations exact
expect "activations are fast or exact" 2 "want one of fast.exact" env KRS_ACTIVATIONS=quick "$krs" bench models/demo

# Bad models: one line, what and where, the code of the table.
expect "a file is not a folder" 3 "^krs: models/demo/config.json: neither a folder nor a .gguf file" "$krs" run models/demo/config.json hi
expect "a long path leaves room for the reason" 3 "^krs: \.\.\.a+: no such folder or .gguf file\$" "$krs" run "/$(printf 'a%.0s' {1..300})" hi
for command in "run" "bench" "inspect" "serve --port 0"; do
    # shellcheck disable=SC2086
    expect "$command: no such folder" 3 "^krs: models/nowhere: " "$krs" $command models/nowhere
done
expect "logits: no such file of tokens" 3 "^krs: models/nowhere: " "$krs" logits --model models/demo --tokens @models/nowhere --out "$scratch/c.f32"
expect "logits: no such folder to write to" 3 "^krs: models/nowhere/c: " "$krs" logits --model models/demo --tokens 1 --out models/nowhere/c
expect "synth: no such shape" 3 "^krs: models/nowhere: " "$krs" synth "$scratch/m3" --config models/nowhere
expect "synth: no such parent folder" 3 "^krs: models/nowhere/m: " "$krs" synth models/nowhere/m --config models/demo/config.json
expect "bench has no option that it would not heed" 2 "unknown option --memory" "$krs" bench models/demo --memory 1K
mkdir "$scratch/empty"
expect "a folder that is no model" 3 "^krs: .*config.json" "$krs" run "$scratch/empty" hi
broken() { # name: a fresh copy of the demo model
    cp -r models/demo "$scratch/$1"
    echo "$scratch/$1"
}
m=$(broken truncated)
truncate -s 1000000 "$m/model.safetensors"
expect "a truncated file" 5 "^krs: .*model.safetensors" "$krs" run "$m" hi
m=$(broken family)
sed -i 's/"model_type": "qwen3"/"model_type": "qwen9"/' "$m/config.json"
expect "an unknown family lists the nearest ones" 6 "^krs: .*qwen9.*nearest: .*qwen3" "$krs" run "$m" hi
m=$(broken range)
sed -i 's/"rope_theta": [0-9.]*/"rope_theta": -1/' "$m/config.json"
expect "a field out of its range is the file's fault" 5 "^krs: .*config.json: .*rope_theta: -1" "$krs" run "$m" hi
m=$(broken shape)
sed -i 's/"hidden_size": 256/"hidden_size": 512/' "$m/config.json"
expect "a wrong shape names the tensor" 5 "^krs: .*(embed_tokens|head)" "$krs" run "$m" hi
m=$(broken layers)
sed -i 's/"num_hidden_layers": 8/"num_hidden_layers": 9/' "$m/config.json"
expect "a missing tensor is named" 3 "^krs: .*layers\.8\." "$krs" run "$m" hi
m=$(broken quant)
sed -i 's/"bits": 4/"bits": 7/' "$m/config.json"
expect "an unsupported quantisation" 6 "^krs: .*7" "$krs" run "$m" hi
m=$(broken tokenizer)
rm "$m/tokenizer.json"
expect "no tokenizer" 3 "^krs: .*tokenizer.json" "$krs" run "$m" hi
m=$(broken vocabulary)
sed -i 's/"vocab_size": 2048/"vocab_size": 2047/' "$m/config.json"
expect "a vocabulary that does not match" 5 "^krs: .*204[78]" "$krs" run "$m" hi
expect "a plan above the memory limit is refused with numbers" 12 "^krs: .*[0-9]" "$krs" run models/demo hi --memory 1K
expect "a prompt longer than the context" 7 "^krs: .*[0-9]" bash -c "yes word | head -c 100000 | '$krs' run models/demo"

# A folder reached as "." still has its own name.
expect "a model served from inside its folder has the folder's name" 0 '"model":"demo"' \
    bash -c "cd models/demo && timeout --preserve-status -s INT 2 '$krs' serve . --port 0"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
