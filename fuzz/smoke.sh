#!/usr/bin/env bash
# Builds all fuzz targets and runs each on its corpus for a few seconds, or for as long as one likes:
#   bash fuzz/smoke.sh [SECONDS] [TARGET...]
# The seed is 1 unless TINCAN_FUZZ_SEED says otherwise, so that a short run is the same run everywhere.
# Prints executions a second and coverage for each; ends with an error when something was found.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-3}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(sed -n 's/^name = "\(.*_.*\)"/\1/p' Cargo.toml | sort)
if [ ${#targets[@]} -eq 0 ]; then
  echo "no fuzz targets"
  exit 0
fi
cargo +nightly fuzz build >/dev/null 2>build.log || { cat build.log; exit 1; }
rm -f build.log
found=0
for target in "${targets[@]}"; do
  seeds=()
  [ -d "seeds/$target" ] && seeds=("seeds/$target")
  # What a run learns goes to corpus/, which is not kept; seeds/ is.
  mkdir -p "corpus/$target"
  dictionary=()
  [ -f "dictionaries/$target.dict" ] && dictionary=("-dict=dictionaries/$target.dict")
  log=$(mktemp)
  if cargo +nightly fuzz run "$target" "corpus/$target" "${seeds[@]}" -- -max_total_time="$seconds" \
    -seed="${TINCAN_FUZZ_SEED:-1}" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 "${dictionary[@]}" >"$log" 2>&1; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
    coverage=$(grep -o 'cov: [0-9]*' "$log" | tail -1)
    echo "$target: $runs executions, $rate a second, ${coverage:-cov: ?}, nothing found"
  else
    found=$((found + 1))
    echo "$target: FOUND SOMETHING"
    tail -40 "$log"
  fi
  rm -f "$log"
done
echo "$((${#targets[@]} - found)) passed, $found failed"
[ "$found" -eq 0 ]
