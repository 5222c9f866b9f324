#!/usr/bin/env bash
# Chromium and Firefox against the demo and dial examples. Installs what it needs. Arguments: names of checks (default:
# all). TINCAN_BROWSERS says which browsers, if not both, TINCAN_EXAMPLES the folder of examples that are built already.
set -euo pipefail
cd "$(dirname "$0")/../.."
read -ra browsers <<<"${TINCAN_BROWSERS:-chromium firefox}"
for browser in "${browsers[@]}"; do
  program=${browser/firefox/firefox-esr}
  if ! command -v "$program" >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq "$program" >/dev/null
  fi
done
if [ ! -d interop/browser/node_modules/playwright-core ] || [ ! -d interop/browser/node_modules/puppeteer-core ]; then
  npm install --fetch-retries=5 --prefix interop/browser --no-audit --no-fund --no-save --no-package-lock --silent
fi
if [ -z "${TINCAN_EXAMPLES:-}" ]; then
  cargo build --release --quiet -p tincan-peer --examples
  export TINCAN_EXAMPLES="${CARGO_TARGET_DIR:-target}/release/examples"
fi
failed=0
for browser in "${browsers[@]}"; do
  TINCAN_BROWSER=$browser node interop/browser/run.mjs "$@" || failed=1
done
exit "$failed"
