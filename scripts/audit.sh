#!/usr/bin/env bash
# Verifies sealed segments and bundles with stock tools alone: bash, coreutils, cmp, jq, zstd, openssl.
#
#     scripts/audit.sh PUB.pem PATH...
#
# PATH is a segment, a bundle (.agb), a return bundle (.agr), a folder of these, a lane or a whole spool.
# A bundle may be signed, and its segments too, by keys that took over from PUB.pem, if the statements in
# it say so; and what keys signed that PUB.pem took over from counts, if those in a folder rotations beside
# PUB.pem say so, as on the node itself. Its members are copied to a folder of this script's own; nothing else of it is. One line a
# file, and one for each segment in a bundle, as BUNDLE!MEMBER:
#
#     ok PATH: NODE/STREAM SEQ, N records
#     BAD PATH: why
#     BAD LANE: RANGES are not here, and no loss record names them
#     gap LANE: RANGES are not here         declared lost, or delivered by this machine's own note; where it
#                                           is no lane but single files or any folder: no error either
#
# Exit: 0 good, 4 something is BAD, 2 usage. docs/formats.md says what is checked and why; this
# script is that page in shell, and docs/bundles.md. It is stricter than the page in one way: statement and head, as
# envelopes anyhow, must have exactly the bytes that our writer gives them (order of members, no spaces),
# because jq does not see repeated names and hides how a number was spelled. Nothing is written outside a folder of
# its own, no file is followed, and no name out of a file becomes a path or a command.
set -euo pipefail
export LC_ALL=C
shopt -s nullglob dotglob globstar

readonly TYPE=application/vnd.airgap-bridge.segment.v1+json
readonly SEAL_MAGIC=$((0x184D2A5B)) SEAL_MAX=65536 SEGMENT_STORED_MAX=1073741824
readonly FRAME_RAW_MAX=8388608 WINDOW_MAX=8388608 BLOCK_MAX=131072 FRAME_STORED_MAX=8519680
ZEROS=$(printf '%064d' 0)
readonly ZEROS SHARD=4096 HEAD_MAX=1024 DELIVERED_MAX=10466256 NEW_CHAIN_STEP=1000000 SUFFIX=.ndjson.zst

# What jq programs below share: each form as docs/formats.md and docs/bundles.md have it.
readonly FORMS='
def hex($n): type == "string" and test("\\A[0-9a-f]{\($n)}\\z");
def word($form): type == "string" and test("\\A(?:" + $form + ")\\z");
def count: type == "number" and (tojson | test("\\A(?:0|[1-9][0-9]{0,15})\\z")) and . <= 9007199254740991;
def number: count and . >= 1 and . <= 999999999999;
def positive: count and . >= 1;
def node: word("[a-z0-9][a-z0-9-]{0,62}");
def stream: word("[a-z][a-z0-9-]{0,31}");
def time: word("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z")
    and ((.[:19] + "Z") as $s | ($s | fromdateiso8601 | todateiso8601) == $s);
def nullable(good): . == null or good;
def list($least; $most): type == "array" and length >= $least and length <= $most;
def ranges($most): type == "string" and (. == "" or (
    word("[1-9][0-9]{0,11}(?:-[1-9][0-9]{0,11})?(?:,[1-9][0-9]{0,11}(?:-[1-9][0-9]{0,11})?)*")
    and (split(",") | length <= $most and
        (map(split("-") | map(tonumber)) | . as $r | all(range(length);
            ($r[.] | length == 1 or .[0] < .[1]) and (. == 0 or $r[.][0] > $r[. - 1][-1] + 1))))));
def ranges: ranges(1000);
def ascending: . as $all | all(range(1; length); $all[. - 1] < $all[.]);
'

usage() {
    echo "usage: scripts/audit.sh PUB.pem PATH..." >&2
    [[ $# -eq 0 ]] || echo "error: $1" >&2
    exit 2
}

[[ $# -ge 2 ]] || usage
for tool in jq zstd openssl sha256sum od stat cmp; do
    command -v "$tool" >/dev/null || usage "this machine has no $tool"
done

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

is_key() { # DER: an Ed25519 key in its canonical form, and none of small order
    local hex y
    hex=$(od -An -v -tx1 "$1")
    hex=${hex//[[:space:]]/}
    [[ $hex =~ ^302a300506032b6570032100([0-9a-f]{62})([0-9a-f]{2})$ ]] || return 1
    # The y coordinate without the sign of x; from 2^255-19 on it is written in a second form.
    printf -v y '%s%02x' "${BASH_REMATCH[1]}" $((16#${BASH_REMATCH[2]} & 127))
    [[ ! $y =~ ^0[01](00){31}$ && ! $y =~ ^e[c-f](ff){30}7f$ && ! $y =~ ^f[0-9a-f](ff){30}7f$ ]] || return 1
    [[ $y != c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a &&
        $y != 26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05 ]]
}

# The key, once: its id is the SHA-256 of its DER, and it must be an Ed25519 key.
[[ -f $1 ]] || usage "there is no key file $(printf %q "$1")"
head -c 4096 <"$1" >"$work/key.pem"
earlier=rotations
[[ $1 != */* ]] || earlier=${1%/*}/rotations
shift
openssl pkey -pubin -in "$work/key.pem" -outform DER -out "$work/key.der" 2>/dev/null ||
    usage "the first argument is no public key in PEM"
is_key "$work/key.der" || usage "it is no Ed25519 key, or one in whose name anybody could sign"
read -r key_id _ < <(sha256sum <"$work/key.der")
mkdir "$work/keys"
cp -- "$work/key.pem" "$work/keys/$key_id" # by id: those whose signatures count

# What is to be looked at. Paths are kept as they were given, and made absolute for their places.
paths=() absolutes=() problems=()
declare -A whole=() # lanes that are looked at as such: nothing of theirs may be missing

add_file() { # SHOWN ABSOLUTE
    paths+=("$1") absolutes+=("$2") problems+=("")
}

add_folder() { # SHOWN
    local shown=${1%/} folder file found="" before=$((${#paths[@]} + ${#bundles[@]}))
    folder=$(cd -P -- "$1" && printf '%s/' "$PWD")
    folder=${folder%/}
    for file in "$folder"/**/sealed/; do
        [[ -L ${file%/} || $file == "$folder"/quarantine/* ]] && continue
        whole[${file%/sealed/}]=1
        [[ ! -e ${file%/sealed/}/head ]] || found=1 # whose segments may all be delivered and gone
    done
    for file in "$folder"/**/*.ag[br]; do
        add_bundle "${shown:-/}${file#"$folder"}" "$file"
    done
    for file in "$folder"/**/*"$SUFFIX"; do
        # What is still open has no seal, and what was set aside was judged already.
        [[ $file == */open/* && -d ${file%/open/*}/sealed ]] && continue
        [[ $file == "$folder"/quarantine/* ]] && continue
        add_file "${shown:-/}${file#"$folder"}" "$file"
    done
    if [[ -z $found && $((${#paths[@]} + ${#bundles[@]})) -eq $before ]]; then
        add_file "$1" "$folder"
        problems[-1]="there is no segment in it"
    fi
}

# Bundles: the container first, header by header; then its manifest; its segments go with the others.
bundles=() verdicts=() manifests=()
readonly MEMBER='^(manifest\.dsse\.json|receipt\.dsse\.json|token\.jwt|keys/[0-9]{6}\.dsse\.json|segments/[a-z0-9][a-z0-9-]{0,62}/[a-z][a-z0-9-]{0,31}/[0-9]{12}\.ndjson\.zst)$'
readonly BUNDLE=application/vnd.airgap-bridge.bundle.v1+json BUNDLE_2=application/vnd.airgap-bridge.bundle.v2+json RECEIPT=application/vnd.airgap-bridge.receipt.v1+json
readonly RETURN=application/vnd.airgap-bridge.return.v1+json ROTATION=application/vnd.airgap-bridge.rotation.v1+json
readonly MEMBERS_MAX=4160 MANIFEST_MAX=4194304 RETURN_MAX=65536 RECEIPT_MAX=8388608 ROTATION_MAX=4096 TOKEN_MAX=16384

header() { # NAME SIZE: the one header that a member of this name and size has
    local base=${1##*/} prefix="" size at code sum=3181
    [[ $1 != */* ]] || prefix=${1%/*}
    printf -v size '%011o' "$2"
    # The sum of all bytes, the checksum's own read as spaces: what is always there, and these.
    for ((at = 0; at < ${#base}; at++)); do
        printf -v code '%d' "'${base:at:1}"
        sum=$((sum + code))
    done
    for ((at = 0; at < ${#prefix}; at++)); do
        printf -v code '%d' "'${prefix:at:1}"
        sum=$((sum + code))
    done
    for ((at = 0; at < 11; at++)); do sum=$((sum + ${size:at:1} + 48)); done
    printf '%s' "$base"
    head -c $((100 - ${#base})) /dev/zero
    printf '0000644\0000000000\0000000000\000%s\00000000000000\000%06o\000 0' "$size" "$sum"
    head -c 100 /dev/zero
    printf 'ustar\00000'
    head -c 64 /dev/zero
    printf '0000000\0000000000\000%s' "$prefix"
    head -c $((155 - ${#prefix} + 12)) /dev/zero
}

unpack() { # FILE INTO: sets why, and members (name, size, in their order)
    local file=$1 into=$2 size at=0 name prefix octal length pad
    members=()
    why="it is no regular file, and was not read"
    [[ ! -L $file && -f $file ]] || return 0
    size=$(stat -c %s -- "$file")
    why="it is encrypted: open it with age -d first"
    [[ $(head -c 21 -- "$file" | tr -d '\0') != age-encryption.org/v1 ]] || return 0
    while :; do
        why="its container is cut short"
        ((at + 1024 <= size)) || return 0
        tail -c +$((at + 1)) -- "$file" | head -c 512 >"$work/block" || true
        if cmp -s -n 512 -- "$work/block" /dev/zero; then
            why="its container does not end with two blocks of zeros and nothing more"
            ((at + 1024 == size)) || return 0
            tail -c 512 -- "$file" >"$work/block"
            cmp -s -n 512 -- "$work/block" /dev/zero || return 0
            break
        fi
        why="a member of its container has a name that no bundle has"
        name=$(head -c 100 "$work/block" | tr -d '\0\n')
        prefix=$(tail -c +346 "$work/block" | head -c 155 | tr -d '\0\n')
        name=${prefix:+$prefix/}$name
        [[ $name =~ $MEMBER ]] || return 0
        why="a member stands in it twice, or it has too many"
        [[ ! -e $into/$name && $((${#members[@]} / 2)) -lt $MEMBERS_MAX ]] || return 0
        why="a header of its container does not follow from name and size"
        octal=$(tail -c +125 "$work/block" | head -c 11 | tr -d '\0\n')
        [[ $octal =~ ^[0-7]{11}$ ]] || return 0
        length=$((8#$octal))
        header "$name" "$length" | cmp -s - "$work/block" || return 0
        why="its container is cut short"
        pad=$(((512 - length % 512) % 512))
        ((length <= SEGMENT_STORED_MAX && at + 512 + length + pad + 1024 <= size)) || return 0
        mkdir -p -- "$into/${name%"${name##*/}"}"
        tail -c +$((at + 513)) -- "$file" | head -c "$length" >"$into/$name" || true
        why="there is something between members of its container"
        [[ $(tail -c +$((at + 513 + length)) -- "$file" | head -c $pad | tr -d '\0' | wc -c) -eq 0 ]] || return 0
        members+=("$name" "$length")
        at=$((at + 512 + length + pad))
    done
    why=""
}

opened() { # ENVELOPE TYPE MAX SIGNATURES: sets why; its payload goes to $work/payload, who signed to signers, sigs
    local said line
    why="a signed document in it is too large"
    (($(stat -c %s -- "$1") <= $3)) || return 0
    why="a signed document in it is not in the one form, or of another kind"
    # Nothing but the one line is there, and jq has nothing to hide in it.
    said=$(jq -R -s -r --arg type "$2" --argjson count "$4" '
        . as $text | fromjson as $e
        | select(({payload: $e.payload, payloadType: $e.payloadType,
            signatures: [$e.signatures[] | {keyid, sig}]} | tojson) == $text)
        | select($e.payloadType == $type and ($e.signatures | length) == $count)
        | select($e.payload | @base64d | @base64 == $e.payload)
        | select(all($e.signatures[]; (.keyid | test("\\A[0-9a-f]{64}\\z")) and (.sig | test("\\A[A-Za-z0-9+/]{85}[AQgw]==\\z"))))
        | ($e.signatures[] | "\(.keyid) \(.sig)"), $e.payload' "$1" 2>/dev/null) || return 0
    [[ -n $said ]] || return 0
    signers=() sigs=()
    while read -r line; do
        if [[ $line == *" "* ]]; then
            signers+=("${line% *}") sigs+=("${line#* }")
        else
            base64 -d <<<"$line" >"$work/payload"
        fi
    done <<<"$said"
    # PAE, as for the segments.
    { printf 'DSSEv1 %d %s %d ' ${#2} "$2" "$(stat -c %s "$work/payload")" && cat "$work/payload"; } >"$work/pae"
    why=""
}

signed_by() { # KEY-FILE SIG
    base64 -d <<<"$2" >"$work/sig"
    openssl pkeyutl -verify -pubin -inkey "$1" -rawin -in "$work/pae" -sigfile "$work/sig" >/dev/null 2>&1
}

trusted() { # ID FOLDER: sets key, to the file of the key of this id; FOLDER has those that took over in one bundle
    key=$work/keys/$1
    [[ -f $key ]] || key=$2/$1
    [[ -f $key ]]
}

is_signed() { # FOLDER, as above; sets why: the document that was opened last counts
    local key
    why="it is signed by key ${signers[0]:0:16}, not by this one"
    trusted "${signers[0]}" "$1" || return 0
    why="a signature in it was not made by its key over these bytes"
    signed_by "$key" "${sigs[0]}" || return 0
    why=""
}

take_over() { # STATEMENT NUMBER SENDER (empty: any) FOLDER: sets why; FOLDER gets the new key, if the old one is trusted
    local said old new side id key
    opened "$1" $ROTATION $ROTATION_MAX 2
    [[ -z $why ]] || return 0
    why="a rotation statement in it is not in the one form, or of another machine"
    said=$(jq -R -s -r --argjson number "$2" --arg name "$3" "$FORMS"'. as $t | fromjson
        | select(({v, number, name, made_at, old, new} | tojson) == $t)
        | select(.v == 1 and .number == $number and ($name == "" or .name == $name) and (.name | node) and .old != .new
            and (.made_at | word("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z")))
        | "\(.old) \(.new)"' \
        "$work/payload" 2>/dev/null) || return 0
    [[ $said =~ ^[A-Za-z0-9+/=]+\ [A-Za-z0-9+/=]+$ ]] || return 0
    old=${said% *} new=${said#* }
    why="a rotation statement in it is not signed by the old key and the new"
    for side in 0 1; do
        [[ $side -eq 0 ]] && said=$old || said=$new
        base64 -d <<<"$said" 2>/dev/null >"$work/der" || return 0
        [[ $(base64 -w 0 "$work/der") == "$said" ]] || return 0
        is_key "$work/der" || return 0
        read -r id _ < <(sha256sum <"$work/der")
        [[ $id == "${signers[side]}" ]] || return 0
        openssl pkey -pubin -inform DER -in "$work/der" -out "$work/side$side.pem" 2>/dev/null || return 0
        signed_by "$work/side$side.pem" "${sigs[side]}" || return 0
    done
    why=""
    ! trusted "${signers[0]}" "$4" || cp -- "$work/side1.pem" "$4/${signers[1]}"
}

took_over() { # trusts the keys that the one given took over from, as the statements beside it say
    local number=0 file
    while file="$earlier/$(printf '%06d' $((number + 1))).dsse.json" && [[ -f $file && ! -L $file ]]; do
        ((++number))
    done
    for ((; number > 0; number--)); do # from the last one back: each leads to the one before it
        take_over "$earlier/$(printf '%06d' $number).dsse.json" $number "" "$work/keys"
        [[ -z $why ]] || usage "statement $number in the folder rotations beside it does not count: $why"
        [[ ! -f $work/keys/${signers[1]} ]] || cp -- "$work/side0.pem" "$work/keys/${signers[0]}"
    done
}
took_over

add_bundle() { # SHOWN ABSOLUTE
    local into="$work/bundle${#bundles[@]}" kind=$BUNDLE max=$MANIFEST_MAX said names i number=0 sum sender version=1
    bundles+=("$1") verdicts+=("") manifests+=("$into")
    mkdir -- "$into" "$into.keys"
    unpack "$2" "$into"
    verdicts[-1]=$why
    [[ -z $why ]] || return 0
    verdicts[-1]="its first member is not the manifest"
    [[ ${members[0]-} == manifest.dsse.json ]] || return 0
    # After the payload there are 280 bytes; that it is this kind is looked at below.
    { said=$(tail -c 400 -- "$into/manifest.dsse.json"); } 2>/dev/null
    if [[ $said == *"\"payloadType\":\"$RETURN\""* ]]; then
        kind=$RETURN max=$RETURN_MAX
    elif [[ $said == *"\"payloadType\":\"$BUNDLE_2\""* ]]; then
        kind=$BUNDLE_2 version=2
    fi
    opened "$into/manifest.dsse.json" $kind $max 1
    verdicts[-1]=$why
    [[ -z $why ]] || return 0
    local by=${signers[0]} sig=${sigs[0]}
    cp -- "$work/payload" "$into/payload"
    verdicts[-1]="its manifest is not in the one form, or contradicts itself"
    said=$(jq -R -s -r --arg kind "${kind:30:6}" --argjson version $version "$FORMS"'. as $t | fromjson
        | def enclosed: {name, size, sha256};
          def small($form; $most): (.name | word($form)) and (.size | positive) and .size <= $most and (.sha256 | hex(64));
          def joined: reduce .[] as $n ([]; if length > 0 and .[-1][1] + 1 == $n
              then .[-1][1] = $n else . + [[$n, $n]] end)
              | map(if .[0] == .[1] then "\(.[0])" else "\(.[0])-\(.[1])" end) | join(",");
          # Controls, and marks that do not show.
          def plain: type == "string" and length <= 500 and (test("[\\x{0}-\\x{1f}\\x{7f}-\\x{9f}\\x{ad}\\x{34f}\\x{61c}"
              + "\\x{115f}\\x{1160}\\x{17b4}\\x{17b5}\\x{180b}-\\x{180f}\\x{200b}-\\x{200f}\\x{2028}-\\x{202e}"
              + "\\x{2060}-\\x{206f}\\x{3164}\\x{fe00}-\\x{fe0f}\\x{feff}\\x{ffa0}\\x{fff9}-\\x{fffb}"
              + "\\x{e0000}-\\x{e0fff}]") | not);
          def lane: (.node | node) and (.stream | stream) and (.ranges | length <= 16384 and ranges(4096) and . != "")
              and (.records | count) and (.raw_size | count) and (.first_at | nullable(time)) and (.last_at | nullable(time))
              and (.head | (.chain | hex(32)) and (.seq | number) and (.digest | hex(64)))
              and (.lost | list(0; 4096) and all((.ranges | length <= 16384 and ranges) and (.records | nullable(count))))
              and (.first_at == null) == (.records == 0)
              and (.first_at == null or (.last_at != null and .first_at <= .last_at))
              and (.ranges | split(",")[-1] | split("-")[-1] | tonumber) <= .head.seq;
        select(if $kind == "bundle" then
            ({v, id, serial, made_at, from, to, note, received, rotations: [.rotations[] | enclosed],
              lanes: [.lanes[] | {node, stream, ranges, records, raw_size, first_at, last_at,
                  head: (.head | {chain, seq, digest}), lost: [.lost[] | {ranges, records}]}],
              members: [.members[] | {name, size, digest}]}
              + if $version == 2 then {elsewhere: [.elsewhere[] | {stream, chain, first, last, digest}]} else {} end
              | tojson) == $t
            and (.note | plain) and (.received | count) and (.lanes | list(0; 4096) and all(lane))
            and (.members | list(0; 4096) and all((.name | type == "string") and (.size | positive)
                and .size <= 1073741824 and (.digest | hex(64))))
            and ([.elsewhere[]?] | list(0; 1000) and all((.stream | stream) and (.chain | hex(32))
                and (.digest | hex(64)) and (.first | number) and (.last | number) and .first <= .last)
                and . as $runs | all(range(1; length); $runs[. - 1] as $a | $runs[.] as $b
                    | [$a.stream, $a.last] < [$b.stream, $b.first]))
            and (.from as $from | [.members[].name] | all(startswith("segments/" + $from + "/")))
            and ([.members[].name | split("/") | [.[1], .[2], (.[3][:12] | tonumber)]]
                | ascending and all(.[2] >= 1))
            and ([.members[].name | split("/")] | group_by(.[1:3])
                | map({node: .[0][1], stream: .[0][2], ranges: (map(.[3][:12] | tonumber) | joined)}))
                == [.lanes[] | {node, stream, ranges}]
          else
            ({v, id, serial, made_at, from, to, accepts, rotations: [.rotations[] | enclosed],
              members: [.members[] | enclosed]} | tojson) == $t
            and (.accepts | list(0; 64) and all(word("[a-z]{1,16}[.]v[0-9]{1,4}")))
            and (.members | all(small("receipt[.]dsse[.]json|token[.]jwt"; 8388608)))
            and ([.members[].name] | . == ["receipt.dsse.json"] or . == ["receipt.dsse.json", "token.jwt"])
          end)
        | select(.v == $version and (.id | hex(32)) and (.serial | positive) and (.made_at | time) and (.from | node)
            and (.to | node) and (.rotations | list(0; 63) and all(small("keys/[0-9]{6}[.]dsse[.]json"; 4096))))
        | .from, (.rotations[] | "\(.name) \(.size) \(.sha256)"), (.members[] | "\(.name) \(.size) \(.sha256 // .digest)")' \
        "$into/payload" 2>/dev/null) || return 0
    [[ -n $said ]] || return 0
    mapfile -t names <<<"$said"
    sender=${names[0]}
    verdicts[-1]="its members are not those that the manifest names"
    [[ ${#names[@]} -eq $((${#members[@]} / 2)) ]] || return 0
    for ((i = 1; i < ${#names[@]}; i++)); do
        [[ ${names[i]} =~ ^([^ ]+)\ ([0-9]+)\ ([0-9a-f]{64})$ ]] || return 0
        [[ ${BASH_REMATCH[1]} == "${members[2 * i]}" && ${BASH_REMATCH[2]} -eq ${members[2 * i + 1]} ]] || return 0
        if [[ ${BASH_REMATCH[1]} == segments/* ]]; then
            named["$into/${BASH_REMATCH[1]}"]=${BASH_REMATCH[3]}
            continue
        fi
        read -r sum _ < <(sha256sum <"$into/${BASH_REMATCH[1]}")
        verdicts[-1]="${BASH_REMATCH[1]} is not what the manifest names"
        [[ $sum == "${BASH_REMATCH[3]}" ]] || return 0
        verdicts[-1]="its members are not those that the manifest names"
        [[ ${members[2 * i]} == keys/* ]] || continue
        number=$((number + 1))
        [[ ${members[2 * i]} == "$(printf 'keys/%06d.dsse.json' $number)" ]] || return 0
        take_over "$into/${members[2 * i]}" $number "$sender" "$into.keys"
        verdicts[-1]=$why
        [[ -z $why ]] || return 0
    done
    { printf 'DSSEv1 %d %s %d ' ${#kind} "$kind" "$(stat -c %s "$into/payload")" && cat "$into/payload"; } >"$work/pae"
    signers=("$by") sigs=("$sig")
    is_signed "$into.keys"
    verdicts[-1]=$why
    [[ -z $why ]] || return 0
    if [[ $kind == "$RETURN" ]]; then
        opened "$into/receipt.dsse.json" $RECEIPT $RECEIPT_MAX 1
        [[ -n $why ]] || is_signed "$into.keys"
        verdicts[-1]=$why
        [[ -z $why ]] || return 0
        verdicts[-1]="its receipt is another relay's, or for another node, or not in the one form"
        said=$(jq -R -s -r --argjson around "$(jq '{from, to}' "$into/payload")" "$FORMS"'. as $t | fromjson
            | def told: [.[] | {seq, line, status, code, text}];
              def refused: list(0; 20000) and all((.seq | number) and (.line | count) and .line <= 2147483648
                  and (.status | count) and .status >= 100 and .status <= 599
                  and (.code == "refused" or .code == "too_large") and (.text | word("[ -~]{0,500}")))
                  and (map([.seq, .line]) | ascending);
              def span: (.chain | hex(32)) and (.first | number) and (.last | number) and .first <= .last
                  and (.state == "pending" or .state == "delivered" or .state == "quarantined") and (.digest | hex(64));
              def lane: (.stream | stream) and (.in_doubt | count) and (.missing | length <= 16384 and ranges)
                  and (.spans | list(0; 20000) and all(span)
                      and (. as $s | all(range(1; length); $s[. - 1].last < $s[.].first)))
                  and (.refused | refused)
                  and (.forks | list(0; 1000) and all(span and .first == .last and (.refused | refused)
                          and (.first as $seq | all(.refused[]; .seq == $seq)))
                      and (map([.first, .digest]) | ascending));
            select(({v, serial, made_at, relay, node, lanes: [.lanes[] | {stream, in_doubt, missing,
                spans: [.spans[] | {chain, first, last, state, digest}], refused: (.refused | told),
                forks: [.forks[] | {chain, first, last, state, digest, refused: (.refused | told)}]}]} | tojson) == $t)
            | select(.v == 1 and .relay == $around.from and .node == $around.to and (.serial | positive) and (.made_at | time))
            | select((.lanes | list(0; 64) and all(lane)) and (.lanes | length) == ([.lanes[].stream] | unique | length))
            | "good"' "$work/payload" 2>/dev/null) || return 0
        [[ $said == good ]] || return 0
        verdicts[-1]="its token is too large"
        [[ ${members[-1]} -le $TOKEN_MAX || ${members[-2]} != token.jwt ]] || return 0
        verdicts[-1]=""
        return
    fi
    verdicts[-1]=""
    for ((i = 1; i < ${#names[@]}; i++)); do
        [[ ${members[2 * i]} != segments/* ]] || add_file "$1!${members[2 * i]}" "$into/${members[2 * i]}"
    done
}

declare -A named=()
for path in "$@"; do
    if [[ -d $path && ! -L $path ]]; then
        add_folder "$path"
    elif [[ -e $path || -L $path ]]; then
        folder=.
        [[ $path != */* ]] || folder=${path%/*}/
        absolute="$(cd -P -- "$folder" && printf '%s' "$PWD")/${path##*/}"
        if [[ $path == *.ag[br] || $path == *.ag[br].age ]]; then
            add_bundle "$path" "$absolute"
        else
            add_file "$path" "$absolute"
        fi
    else
        usage "there is no $(printf %q "$path")"
    fi
done

# First look: the seal of each file, found by the length at its end; one envelope a line for jq.
sizes=() totals=()

find_seal() { # INDEX; prints the envelope, or sets problems[INDEX]
    local i=$1 file=${absolutes[$1]} size total magic inner text
    if [[ -L $file || ! -f $file ]]; then
        problems[i]="it is no regular file, and was not read"
        return
    fi
    size=$(stat -c %s -- "$file")
    sizes[i]=$size totals[i]=0
    if ((size > SEGMENT_STORED_MAX)); then
        problems[i]="it is larger than any segment"
        return
    fi
    problems[i]="it does not end with a seal"
    ((size >= 12)) || return 0
    read -r total < <(od -An -v -tu4 --endian=little -j $((size - 4)) -N 4 -- "$file")
    ((total >= 12 && total <= size && total <= SEAL_MAX)) || return 0
    read -r magic inner < <(od -An -v -tu4 --endian=little -j $((size - total)) -N 8 -- "$file")
    ((magic == SEAL_MAGIC && inner == total - 8)) || return 0
    { text=$(tail -c $((total - 8)) -- "$file" | head -c $((total - 12))); } 2>/dev/null
    # Shorter than it was: bash took NULs or line ends away, and an envelope has neither.
    problems[i]="its envelope is not in the one form"
    [[ ${#text} -eq $((total - 12)) && $text != *$'\n'* ]] || return 0
    problems[i]="" totals[i]=$total envelope=$text
}

for i in "${!paths[@]}"; do
    envelope=""
    [[ -n ${problems[i]} ]] || find_seal "$i"
    printf '%s\n' "$envelope"
done >"$work/envelopes"

# Second look: all envelopes and statements in one jq. What it lets through is plain ASCII without |.
jq -R -r --arg type "$TYPE" --arg zeros "$ZEROS" "$FORMS"'
def need(good; $why): if good then . else error("!" + $why) end;
def statement_again: . as $s
    | {v, node, stream, chain, seq, prev, records, size, raw_size, sha256,
       before: (.before | {records, raw_size}), first_at, last_at, reason, policy}
    + (if has("follows") then {follows: (.follows | {chain, seq, digest, why})} else {} end)
    + (if has("lost") then {lost: (.lost | {ranges, records, raw_size, why})} else {} end)
    + (if has("of") then {of} else {} end);
def fields: need(.v == 1; "its version is unknown")
    | need((.node | word("[a-z0-9][a-z0-9-]{0,62}")) and (.stream | word("[a-z][a-z0-9-]{0,31}")) and
        (.chain | hex(32)) and (.seq | number) and (.prev | hex(64)) and (.sha256 | hex(64)) and
        (.policy | hex(64)) and (.records | count) and (.size | count) and (.raw_size | count) and
        (.before.records | count) and (.before.raw_size | count) and
        (.first_at | nullable(time)) and (.last_at | nullable(time)) and
        (.reason | word("size|age|shutdown|handover|recovered|heartbeat|loss")); "a field is not what it may be")
    | need((has("follows") | not) or (.follows | (.chain | hex(32)) and (.seq | . == 0 or number) and
        (.digest | hex(64)) and (.why | word("head_lost|moved|fork"))); "what it follows is not what it may be")
    | need((has("lost") | not) or (.lost | (.ranges | ranges) and (.records | nullable(count)) and
        (.raw_size | nullable(count)) and (.why | word("[a-z_]{1,32}"))); "what it lost is not what it may be")
    | need((has("of") | not) or (.of | number); "what it replaces is not what it may be");
def sense: (.reason == "heartbeat" or .reason == "loss") as $bare
    | need(if $bare then .records == 0 and .raw_size == 0 and .size == 0 and .first_at == null and .last_at == null
        else .records > 0 and .size > 0 and .first_at != null and .last_at != null and .first_at <= .last_at end;
        "its counts, times and reason do not go together")
    | need(.raw_size >= 2 * .records; "it holds more records than bytes for them")
    | need(has("lost") == (.reason == "loss"); "a loss and its reason do not go together")
    | need((has("of") | not) or (.reason == "recovered" and .of < .seq); "it replaces what it cannot")
    | need(.node != "quarantine" and .node != "license"; "no node can have its name")
    | need(if .prev == $zeros
        then .before.records == 0 and .before.raw_size == 0 and (has("follows") == (.seq != 1))
        else (has("follows") | not) and .seq != 1 end; "its link contradicts itself")
    | need((has("follows") | not) or (.follows.seq < .seq and .follows.chain != .chain); "it follows what it cannot");
# Collected before it goes on: the try of jq 1.6 also catches what comes after it.
def parsed($what): [fromjson?] | if length == 1 then .[0] else error("!its \($what) is no JSON") end;
def judged: . as $text
    | parsed("envelope") as $e
    | need(($e | type) == "object" and ($e.signatures | type) == "array" and
        ({payload: $e.payload, payloadType: $e.payloadType,
          signatures: [$e.signatures[] | {keyid, sig}]} | tojson) == $text; "its envelope is not in the one form")
    | need($e.payloadType == $type; "it is signed as something else than a segment")
    | need(($e.signatures | length) == 1; "it has not exactly one signature")
    | $e.signatures[0] as $by
    | need(($by.keyid | hex(64)) and ($by.sig | word("[A-Za-z0-9+/]{85}[AQgw]==")); "its signature is no Ed25519 signature")
    | ($e.payload | need(word("[A-Za-z0-9+/]*={0,2}"); "its payload is no base64") | @base64d) as $payload
    | need(($payload | @base64) == $e.payload and ($payload | utf8bytelength) <= 32768; "its payload is not in the one form")
    | ($payload | parsed("statement"))
    | need(type == "object" and (statement_again | tojson) == $payload; "its statement is not in the one form")
    | fields | sense
    | [.node, .stream, .chain, .seq, .prev, .records, .size, .raw_size, .sha256, .before.records,
       .before.raw_size, .follows.chain // "-", .follows.seq // "-", .follows.digest // "-",
       (.lost.ranges // "" | if . == "" then "-" else . end), .first_at // "-", .last_at // "-",
       (if .lost then .lost | "\(.ranges):\(.records)" else "-" end), $by.keyid, $by.sig, $payload] | map(tostring) | join("|");
if . == "" then "" else
    try judged catch (if type == "string" and startswith("!") then . else "!its seal is no seal of ours" end)
end' <"$work/envelopes" >"$work/said" || {
    echo "error: jq failed; nothing was verified" >&2
    exit 1
}

# Third look: signature, digest, and only then the frames, walked by their headers.
nodes=() streams=() chains=() seqs=() prevs=() records=() raws=() befores=() digests=() known=()
follow_chains=() follow_seqs=() follow_digests=() losts=() begins=() ends_at=() declares=()

# Headers lie far apart: what is read at a time is a few frames of a slow producer, or one block header.
readonly WINDOW=4096
window="" window_from=0 window_to=0
take() { # OFFSET: sets byte
    if (($1 < window_from || $1 >= window_to)); then
        window_from=$1 window_to=$(($1 + WINDOW))
        window=$(od -An -v -tx1 -j "$1" -N $WINDOW -- "$file")
    fi
    local at=$(($1 - window_from))
    # od writes sixteen bytes a line, three characters each, and a line end.
    byte=$((16#${window:at / 16 * 49 + at % 16 * 3 + 1:2}))
}

walk() { # END RAW_SIZE: sets why, and ends (where each frame's lines end)
    local end=$1 raw_size=$2 at=0 sum=0 p n size flags block value last magic
    window_from=0 window_to=0 ends=()
    while ((at < end)); do
        why="the frame at byte $at is cut short"
        ((at + 6 <= end)) || return 0
        for ((magic = 0, n = 3; n >= 0; n--)); do
            take $((at + n))
            magic=$((magic << 8 | byte))
        done
        why="the frame at byte $at does not begin like a zstd data frame"
        ((magic == 0xFD2FB528)) || return 0
        take $((at + 4))
        flags=$byte p=$((at + 5))
        why="the frame at byte $at asks for a dictionary, has no checksum, or is not for this zstd"
        (((flags & 3) == 0 && (flags & 4) != 0 && (flags & 8) == 0)) || return 0
        if ((flags & 32)); then
            n=$((flags >> 6 ? 1 << (flags >> 6) : 1))
        else
            take $p
            p=$((p + 1)) n=$((flags >> 6 ? 1 << (flags >> 6) : 0))
            why="the frame at byte $at needs too large a window"
            value=$((1 << (7 + (byte >> 3))))
            ((value * (8 + (byte & 7)) <= WINDOW_MAX)) || return 0
        fi
        why="the frame at byte $at does not state how much it holds"
        ((n > 0)) || return 0
        why="the frame at byte $at is cut short"
        ((p + n <= end)) || return 0
        for ((size = 0, value = n - 1; value >= 0; value--)); do
            take $((p + value))
            why="the frame at byte $at claims to hold more than a frame may"
            ((size <= FRAME_RAW_MAX)) || return 0
            size=$((size << 8 | byte))
        done
        ((n != 2)) || size=$((size + 256))
        ((size <= FRAME_RAW_MAX)) || return 0
        why="the frame at byte $at holds nothing"
        ((size > 0)) || return 0
        p=$((p + n)) last=0
        while ((!last)); do
            why="the frame at byte $at is cut short"
            ((p + 3 <= end)) || return 0
            take $p
            block=$byte
            take $((p + 1))
            block=$((block | byte << 8))
            take $((p + 2))
            block=$((block | byte << 16))
            last=$((block & 1)) value=$((block >> 3))
            why="the frame at byte $at has a block that zstd does not allow"
            (((block >> 1 & 3) != 3 && value <= BLOCK_MAX)) || return 0
            (((block >> 1 & 3) != 1)) || value=1
            p=$((p + 3 + value))
            ((p - at <= FRAME_STORED_MAX)) || return 0
        done
        p=$((p + 4))
        why="the frame at byte $at is cut short"
        ((p <= end)) || return 0
        sum=$((sum + size))
        why="it holds more bytes than were sealed"
        ((sum <= raw_size)) || return 0
        ends+=("$sum") at=$p
    done
    why="it does not hold as many bytes as were sealed"
    ((sum != raw_size)) || why=""
}

check_lines() { # END RECORDS RAW_SIZE: sets why; everything is bounded by now
    local lines bytes first last e
    why="its frames do not decompress to what they state"
    head -c "$1" -- "$file" | zstd -dcq --memory=8MiB 2>/dev/null | head -c $(($3 + 1)) >"$work/lines" || return 0
    read -r lines bytes < <(wc -lc <"$work/lines")
    ((bytes == $3)) || return 0
    why="it does not hold as many records as were sealed"
    ((lines == $2)) || return 0
    why="it does not hold whole, non-empty lines"
    read -r first < <(od -An -tx1 -N 1 "$work/lines") # bash itself passes over a NUL
    [[ $first != 0a && $(tr -s '\n' <"$work/lines" | wc -c) -eq $bytes ]] || return 0
    for e in "${ends[@]}"; do
        read -r last < <(od -An -tx1 -j $((e - 1)) -N 1 "$work/lines")
        [[ $last == 0a ]] || return 0
    done
    why=""
}

check_place() { # INDEX: sets why; a file that lies in a lane must be the one of that place
    local i=$1 lane=${absolutes[$1]} name=${absolutes[$1]##*/} shard
    why=""
    if [[ $lane =~ ^(.*/)([^/]+)/([^/]+)/sealed/([0-9]{8})/([0-9]{12})\.ndjson\.zst$ ]]; then
        shard=$((10#${BASH_REMATCH[5]} / SHARD))
        ((10#${BASH_REMATCH[4]} == shard && 10#${BASH_REMATCH[5]} == seqs[i])) || why="it lies in another number's place"
    elif [[ $lane =~ ^(.*/)([^/]+)/([^/]+)/forks/([0-9]{12})-([0-9a-f]{16})\.ndjson\.zst$ ]]; then
        [[ $((10#${BASH_REMATCH[4]})) -eq ${seqs[i]} && ${digests[i]} == "${BASH_REMATCH[5]}"* ]] ||
            why="it is not the fork that its name says"
    elif [[ $lane =~ ^($work/bundle[0-9]+/)segments/([^/]+)/([^/]+)/([0-9]{12})\.ndjson\.zst$ ]]; then
        ((10#${BASH_REMATCH[4]} == seqs[i])) || why="it lies in another number's place"
    else
        [[ ! $name =~ ^([0-9]{12})\.ndjson\.zst$ ]] || ((10#${BASH_REMATCH[1]} == seqs[i])) ||
            why="it has another number's name"
        return 0
    fi
    [[ ${BASH_REMATCH[2]:-${nodes[i]}}/${BASH_REMATCH[3]:-${streams[i]}} == "${nodes[i]}/${streams[i]}" ]] ||
        why="it lies in another lane"
}

check_file() { # INDEX LINE-OF-JQ: sets why, and known where its seal is good, whatever its bytes are
    local i=$1 size sha data_sum digest keyid sig payload brecords braw key rot=""
    local file=${absolutes[$1]}
    if [[ $2 == !* ]]; then
        why=${2#!}
        return
    fi
    IFS='|' read -r "nodes[i]" "streams[i]" "chains[i]" "seqs[i]" "prevs[i]" "records[i]" size "raws[i]" \
        sha brecords braw "follow_chains[i]" "follow_seqs[i]" "follow_digests[i]" "losts[i]" "begins[i]" "ends_at[i]" "declares[i]" keyid sig payload <<<"$2"
    befores[i]="$brecords $braw"
    why="its seal states another size than it has"
    ((size == sizes[i] - totals[i])) || return 0
    printf '%s' "$payload" >"$work/payload"
    printf 'DSSEv1 %d %s %d %s' ${#TYPE} "$TYPE" ${#payload} "$payload" >"$work/pae"
    { read -r data_sum _ && read -r digest _; } < <(head -c "$size" -- "$file" | sha256sum - "$work/payload")
    digests[i]=$digest
    [[ $data_sum == "$sha" ]] || rot="its bytes are not the ones that were sealed"
    why=${rot:-it is not the segment that the manifest names}
    [[ -z ${named[$file]-} || ${named[$file]} == "$digest" ]] || return 0
    why=${rot:-it is signed by key ${keyid:0:16}, not by this one}
    trusted "$keyid" "${file%/segments/*}.keys" || return 0
    why=${rot:-its signature was not made by this key over these bytes}
    base64 -d <<<"$sig" >"$work/sig"
    openssl pkeyutl -verify -pubin -inkey "$key" -rawin -in "$work/pae" -sigfile "$work/sig" \
        >/dev/null 2>&1 || return 0
    check_place "$i"
    [[ -z $why ]] || return 0
    known[i]=1 why=$rot
    [[ -z $why ]] || return 0
    walk "$size" "${raws[i]}"
    [[ -z $why ]] || return 0
    ((size == 0)) || check_lines "$size" "${records[i]}" "${raws[i]}"
}

i=0
declare -A groups=() lane_of=()
while IFS= read -r line; do
    if [[ -z ${problems[i]} ]]; then
        why=""
        check_file "$i" "$line"
        problems[i]=$why
    fi
    if [[ -n ${known[i]-} && ${absolutes[i]} != */forks/* ]]; then
        lane=${absolutes[i]%/*}
        [[ ! $lane =~ ^(.+)/sealed/[0-9]{8}$ ]] || lane=${BASH_REMATCH[1]}
        group="$lane|${nodes[i]}|${streams[i]}"
        [[ -n ${groups[$group]-} ]] || groups[$group]=${#groups[@]}
        # What lies in a folder of this script's own is told by the bundle that it is from.
        lane_of[${groups[$group]}]=${paths[i]%/*}
        [[ ${absolutes[i]} == "$work"/* ]] || lane_of[${groups[$group]}]=$lane
        printf '%d %d %d\n' "${groups[$group]}" "${seqs[i]}" "$i"
    fi
    i=$((i + 1))
done <"$work/said" >"$work/order"
((i == ${#paths[@]})) || {
    echo "error: jq lost a line; nothing was verified" >&2
    exit 1
}

# Fourth look: within each lane every segment links to the one before it.
gaps=() heads=() last_group=""
declare -A headed=()
declare -A holes=()

gap() { # GROUP FROM TO
    local lane=${lane_of[$1]} numbers=$2
    (($2 <= $3)) || return 0
    (($2 == $3)) || numbers="$2-$3"
    if [[ -n ${whole[$lane]-} ]]; then
        holes[$lane]+="${holes[$lane]:+,}$numbers"
    else
        gaps+=("gap $(printf %q "$lane"): $numbers are not here")
    fi
}

# What lacks in a lane, less what is BAD already: what a loss record names, what is delivered, the rest.
missing() { # HOLES BAD LOST DELIVERED, each a list of ranges or empty
    jq -nr --arg holes "$1" --arg bad "$2" --arg lost "$3" --arg delivered "$4" '
def parts: if . == "" then [] else split(",") | map(split("-") | map(tonumber) | [.[0], .[-1]]) end;
def less($cuts): reduce $cuts[] as $cut (.; [.[] | if $cut[1] < .[0] or $cut[0] > .[1] then . else
    (if .[0] < $cut[0] then [.[0], $cut[0] - 1] else empty end),
    (if $cut[1] < .[1] then [$cut[1] + 1, .[1]] else empty end) end]);
def text: map(if .[0] == .[1] then "\(.[0])" else "\(.[0])-\(.[1])" end) | join(",");
($holes | parts | less($bad | parts)) as $all
| ($all | less($lost | parts)) as $undeclared
| ($undeclared | less($delivered | parts)) as $gone
| ($all | less($undeclared)), ($undeclared | less($gone)), $gone | text'
}

delivered_in() { # LANE: what its note of delivered numbers names; a note in another form is none
    [[ ! -L $1/delivered && -f $1/delivered && $(stat -c %s -- "$1/delivered") -le $DELIVERED_MAX ]] || return 0
    jq -er "$FORMS"'select((keys == ["chains", "v"] and .v == 1)
            or (keys == ["chains", "given_up", "in_doubt", "partial", "refused", "v"] and .v == 2))
        | .chains | select(all(keys == ["chain", "ranges"] and (.chain | hex(32)) and (.ranges | ranges and . != "")))
        | select(([.[].chain] | unique | length) == length)
        | [.[].ranges] | join(",")' <"$1/delivered" 2>/dev/null || true
}

after() { # INDEX
    local before
    read -r -a before <<<"${befores[$1]}"
    echo "$((before[0] + records[$1])) $((before[1] + raws[$1]))"
}

link() { # GROUP PREVIOUS INDEX: sets why
    local g=$1 p=$2 i=$3 was now from
    if [[ ${seqs[p]} -eq ${seqs[i]} ]]; then
        why="another segment has its number"
        [[ ${digests[p]} != "${digests[i]}" ]] || why=""
    elif [[ ${chains[p]} != "${chains[i]}" && ${follow_seqs[i]} != - ]]; then
        gap "$g" $((seqs[p] + 1)) "${follow_seqs[i]}"
        why="it does not follow what it says it follows"
        ((follow_seqs[i] >= seqs[p])) || return 0
        if ((follow_seqs[i] == seqs[p])); then
            [[ ${follow_chains[i]} == "${chains[p]}" || ${follow_chains[i]} == "${ZEROS:0:32}" ]] || return 0
            [[ ${follow_digests[i]} == "${digests[p]}" || ${follow_digests[i]} == "$ZEROS" ]] || return 0
        fi
        why=""
    elif [[ ${chains[p]} != "${chains[i]}" ]]; then
        why="a new chain begins in it without saying what it follows"
        ((seqs[p] + 1 != seqs[i])) || return 0
        why=""
        from=$((seqs[i] / NEW_CHAIN_STEP * NEW_CHAIN_STEP))
        gap "$g" $((from > seqs[p] ? from : seqs[p] + 1)) $((seqs[i] - 1))
    elif [[ $((seqs[p] + 1)) -eq ${seqs[i]} ]]; then
        why="it does not link to the segment before it"
        [[ ${prevs[i]} == "${digests[p]}" && ${befores[i]} == "$(after "$p")" ]] || return 0
        why=""
    else
        gap "$g" $((seqs[p] + 1)) $((seqs[i] - 1))
        read -r -a was <<<"$(after "$p")"
        read -r -a now <<<"${befores[i]}"
        why="its chain had more records before than it has now"
        [[ ${prevs[i]} != "$ZEROS" ]] || return 0
        ((now[0] >= was[0] && now[1] >= was[1])) || return 0
        why=""
    fi
}

check_head() { # GROUP LAST-INDEX ONE-BEFORE: the head must agree with the segments, if there are good ones
    local head=${lane_of[$1]}/head text said chain first seq digest sums i=$2
    [[ -z $i || ${lane_of[$1]}/sealed/ == "${absolutes[i]%/*/*}/" ]] || return 0
    headed[${lane_of[$1]}]=1
    [[ -e $head || -L $head ]] || return 0
    why="it is no regular file of at most $HEAD_MAX bytes"
    if [[ ! -L $head && -f $head && $(stat -c %s -- "$head") -le $HEAD_MAX ]]; then
        { text=$(cat -- "$head"); } 2>/dev/null
        why="it is not in the one form"
        said=$(jq -R -r "$FORMS"'. as $t | fromjson
            | select(({v, chain, first, seq, digest, records, raw_size, folder} | tojson) == $t)
            | select(.v == 1 and (.chain | hex(32)) and (.digest | hex(64)) and (.records | count) and (.raw_size | count)
                and (.first | number) and (.seq | number) and .first <= .seq and (.folder | word("[0-9]{1,20}")))
            | "\(.chain) \(.first) \(.seq) \(.digest) \(.records) \(.raw_size)"' <<<"$text" 2>/dev/null) || said=""
        if [[ -n $said && ${#text} -eq $(stat -c %s -- "$head") ]]; then
            read -r chain first seq digest sums <<<"$said"
            why="more than one segment lies above number $seq, which it names"
            # One may: a crash between its rename and the head leaves it there.
            [[ -z $i ]] || ((seqs[i] <= seq + 1)) || seq=""
            [[ -z $i ]] || ((${seq:-0} != seqs[i] - 1)) || i=$3
            if [[ -n $seq && -z $i ]]; then
                gap "$1" "$first" "$seq"
                why=""
            elif [[ -n $seq && ${seqs[i]} -lt $seq ]]; then
                # Of a new chain nothing is missing below its first number.
                [[ ${chains[i]} != "$chain" ]] || first=0
                gap "$1" $((first > seqs[i] ? first : seqs[i] + 1)) "$seq"
                why=""
            elif [[ -n $seq ]]; then
                why="it does not agree with segment $seq"
                [[ ${seqs[i]} -eq $seq && ${chains[i]} == "$chain" && ${digests[i]} == "$digest" &&
                    $(after "$i") == "$sums" ]] && why=""
            fi
        fi
    fi
    if [[ -n $why ]]; then
        heads+=("BAD $(printf %q "$head"): $why")
        bad=1
    else
        heads+=("ok $(printf %q "$head"): segment $seq")
    fi
}

bad=0 previous="" earlier=""
while read -r group _ i; do
    if [[ $group != "$last_group" ]]; then
        [[ -z $last_group ]] || check_head "$last_group" "$previous" "$earlier"
        last_group=$group earlier="" previous=""
    fi
    why=""
    [[ -z $previous ]] || link "$group" "$previous" "$i"
    problems[i]=${problems[i]:-$why}
    earlier=$previous previous=$i
done < <(sort -n -k1,1 -k2,2 -k3,3 "$work/order")
[[ -z $last_group ]] || check_head "$last_group" "$previous" "$earlier"
for lane in "${!whole[@]}"; do # of which no segment is good, or none is left
    [[ -z ${headed[$lane]-} ]] || continue
    lane_of[none]=$lane
    check_head none "" ""
done

# What lacks in a lane must have been declared lost, or delivered.
declare -A bad_in=() lost_in=()
for i in "${!paths[@]}"; do
    [[ ${absolutes[i]} =~ ^(.+)/sealed/[0-9]{8}/([0-9]{12})\.ndjson\.zst$ ]] || continue
    lane=${BASH_REMATCH[1]}
    if [[ -n ${problems[i]} ]]; then
        bad_in[$lane]+="${bad_in[$lane]:+,}$((10#${BASH_REMATCH[2]}))"
    elif [[ ${losts[i]} != - ]]; then
        lost_in[$lane]+="${lost_in[$lane]:+,}${losts[i]}"
    fi
done
for lane in "${!holes[@]}"; do
    {
        read -r declared
        read -r delivered
        read -r gone
    } < <(missing "${holes[$lane]}" "${bad_in[$lane]-}" "${lost_in[$lane]-}" "$(delivered_in "$lane")")
    shown=$(printf %q "$lane")
    [[ -z $declared ]] || gaps+=("gap $shown: $declared are not here; declared lost")
    [[ -z $delivered ]] || gaps+=("gap $shown: $delivered are not here; delivered, by this machine's own note")
    if [[ -n $gone ]]; then
        bad=1
        gaps+=("BAD $shown: $gone are not here, and no loss record names them")
    fi
done

# What a manifest says of its lanes must be what their segments hold, if all of these are good.
declare -A sums=() begun=() ended=() lost_by=() unclear=()
for i in "${!paths[@]}"; do
    [[ ${absolutes[i]} =~ ^(.*/bundle[0-9]+)/segments/([^/]+/[^/]+)/ && -n ${named[${absolutes[i]}]-} ]] || continue
    lane="${BASH_REMATCH[1]} ${BASH_REMATCH[2]}"
    if [[ -n ${problems[i]} ]]; then
        unclear[$lane]=1
        continue
    fi
    read -r -a before <<<"${sums[$lane]:-0 0}"
    sums[$lane]="$((before[0] + records[i])) $((before[1] + raws[i]))"
    [[ ${declares[i]} == - ]] || lost_by[$lane]+="${declares[i]};"
    [[ ${begins[i]} != - ]] || continue
    [[ -n ${begun[$lane]-} && ${begun[$lane]} < ${begins[i]} ]] || begun[$lane]=${begins[i]}
    [[ ${ended[$lane]-} > ${ends_at[i]} ]] || ended[$lane]=${ends_at[i]}
done
for i in "${!bundles[@]}"; do
    [[ -z ${verdicts[i]} ]] || continue
    while read -r lane said; do
        lane="${manifests[i]} $lane"
        [[ -n ${unclear[$lane]-} || "${sums[$lane]-} ${begun[$lane]:--} ${ended[$lane]:--} ${lost_by[$lane]-}." == "$said" ]] ||
            verdicts[i]="its manifest says something else than its segments"
    done < <(jq -r '.lanes[]? | select(has("node")) | "\(.node)/\(.stream) \(.records) \(.raw_size) "
        + "\(.first_at // "-") \(.last_at // "-") \(.lost | map("\(.ranges):\(.records);") | join(""))."' "${manifests[i]}/payload")
done
for i in "${!bundles[@]}"; do
    if [[ -n ${verdicts[i]} ]]; then
        bad=1
        printf 'BAD %q: %s\n' "${bundles[i]}" "${verdicts[i]}"
    else
        printf 'ok %q: %s\n' "${bundles[i]}" "$(jq -r '"from \(.from) to \(.to), serial \(.serial)"' "${manifests[i]}/payload")"
    fi
done
for i in "${!paths[@]}"; do
    if [[ -n ${problems[i]} ]]; then
        bad=1
        printf 'BAD %q: %s\n' "${paths[i]}" "${problems[i]}"
    else
        printf 'ok %q: %s/%s %d, %d records\n' "${paths[i]}" "${nodes[i]}" "${streams[i]}" "${seqs[i]}" "${records[i]}"
    fi
done
[[ ${#heads[@]} -eq 0 ]] || printf '%s\n' "${heads[@]}"
[[ ${#gaps[@]} -eq 0 ]] || printf '%s\n' "${gaps[@]}"
((bad == 0)) || exit 4
