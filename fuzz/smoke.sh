#!/usr/bin/env bash
# Builds all fuzz targets and runs each on its corpus for a few seconds, or for as long as one likes:
#   bash fuzz/smoke.sh [SECONDS] [TARGET...]
# Prints executions a second, coverage and findings for each as it goes, and a table in the end; ends with an error when
# something was found. The inputs that did it are in artifacts/TARGET, the last lines of the log are printed.
#
#   TINCAN_FUZZ_SEED=N        the seed (1 unless set, so that a short run is the same run everywhere; 0: a new one each)
#   TINCAN_FUZZ_RUNS=N        inputs a target at most (as many as the time allows unless set)
#   TINCAN_FUZZ_JOBS=N        processes a target (1 unless set); they share the corpus
#   TINCAN_FUZZ_LOG=FILE      adds a line a run to FILE; the table then sums all of FILE
#   TINCAN_FUZZ_SANITIZER=S   address, or none (unless set): our crates have no unsafe code, so that a sanitizer would
#                             watch the dependencies only, at half the speed
#   TINCAN_FUZZ_TIMEOUT=N     seconds that one input may take (10 unless set; by the clock on the wall, so that a busy
#                             machine wants more)
#   TINCAN_FUZZ_PROGRAMS=DIR  programs that were built before: nothing is built
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-3}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(sed -n 's/^name = "\(.*_.*\)"/\1/p' Cargo.toml | grep -v '^tincan_' | sort)
if [ ${#targets[@]} -eq 0 ]; then
  echo "no fuzz targets"
  exit 0
fi
jobs=${TINCAN_FUZZ_JOBS:-1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build=()
# One target alone needs no other's code.
[ ${#targets[@]} -eq 1 ] && build=("${targets[0]}")
if [ -z "${TINCAN_FUZZ_PROGRAMS:-}" ]; then
  cargo +nightly fuzz build -s "${TINCAN_FUZZ_SANITIZER:-none}" "${build[@]}" >/dev/null 2>"$work/build" || { cat "$work/build"; exit 1; }
fi
host=$(rustc -vV | sed -n 's/^host: //p')
programs=${TINCAN_FUZZ_PROGRAMS:-${CARGO_TARGET_DIR:-target}/$host/release}
lines=${TINCAN_FUZZ_LOG:-$work/lines}
found=0
here=$PWD
for target in "${targets[@]}"; do
  # What a run learns goes to corpus/, which is not kept; seeds/ is.
  mkdir -p "corpus/$target" "artifacts/$target" "$work/$target"
  arguments=("$here/corpus/$target")
  [ -d "seeds/$target" ] && arguments+=("$here/seeds/$target")
  [ -f "dictionaries/$target.dict" ] && arguments+=("-dict=$here/dictionaries/$target.dict")
  arguments+=(-max_total_time="$seconds" -seed="${TINCAN_FUZZ_SEED:-1}" -rss_limit_mb=2048
    -runs="${TINCAN_FUZZ_RUNS:--1}"
    -timeout="${TINCAN_FUZZ_TIMEOUT:-10}"
    -print_final_stats=1 "-artifact_prefix=$here/artifacts/$target/")
  [ "$jobs" -gt 1 ] && arguments+=(-jobs="$jobs" -workers="$jobs")
  program=$(realpath "$programs/$target")
  passed=1
  begun=$SECONDS
  (cd "$work/$target" && "$program" "${arguments[@]}" >fuzz.log 2>&1) || passed=0
  took=$((SECONDS - begun))
  logs=("$work/$target"/*.log)
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "${logs[@]}" | awk '{s += $1} END {print s + 0}')
  coverage=$(grep -ho 'cov: [0-9]*' "${logs[@]}" | awk '$2 > m {m = $2} END {print m + 0}')
  if [ "$passed" = 1 ]; then
    result="nothing found"
  else
    result="FOUND SOMETHING"
    found=$((found + 1))
    tail -n 40 "${logs[@]}"
  fi
  printf '%s\t%s\t%s\t%s\t%s\n' "$target" "$took" "$runs" "$coverage" $((1 - passed)) >>"$lines"
  echo "$target: $runs executions, $((runs / (took > 0 ? took : 1))) a second, coverage $coverage, $result"
done
echo
echo "| target | executions | minutes | edges covered | runs that found something |"
echo "|---|---|---|---|---|"
awk -F'\t' '{
  n[$1] += $3; t[$1] += $2; f[$1] += $5; if ($4 > c[$1]) c[$1] = $4
} END {
  for (k in n) printf "| `%s` | %d | %.1f | %d | %d |\n", k, n[k], t[k] / 60, c[k], f[k]
}' "$lines" | sort
echo
echo "$((${#targets[@]} - found)) passed, $found failed"
[ "$found" -eq 0 ]
