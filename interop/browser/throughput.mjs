// Data channels between two pages of one Chromium: MB/s and MB for each CPU-second of all its processes together.
// Beside it stand the figures of `cargo run --release -p tincan-benches -- driver`.
//
//   npm install --prefix interop/browser --no-save && node interop/browser/throughput.mjs [SECONDS]
import { chromium } from "playwright-core";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const seconds = Number(process.argv[2] ?? 5);
const profile = mkdtempSync(join(tmpdir(), "tincan-chromium-"));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-features=WebRtcHideLocalIpsWithMdns"],
});

// CPU seconds of every process that has our profile on its command line, and of their children.
function cpu() {
  const parents = new Map(), times = new Map(), mine = new Set();
  for (const pid of readdirSync("/proc").filter(name => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      parents.set(pid, fields[1]);
      times.set(pid, (Number(fields[11]) + Number(fields[12])) / 100);
      if (readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(profile)) mine.add(pid);
    } catch { /* it ended meanwhile */ }
  }
  let sum = 0;
  for (const pid of times.keys()) {
    for (let at = pid; at && at !== "0"; at = parents.get(at)) {
      if (mine.has(at)) { sum += times.get(pid); break; }
    }
  }
  return sum;
}

const page = await browser.newPage();
await page.goto("about:blank");
await page.evaluate(async () => {
  const a = globalThis.a = new RTCPeerConnection(), b = globalThis.b = new RTCPeerConnection();
  a.onicecandidate = e => e.candidate && b.addIceCandidate(e.candidate);
  b.onicecandidate = e => e.candidate && a.addIceCandidate(e.candidate);
  const channel = globalThis.channel = a.createDataChannel("bulk");
  channel.binaryType = "arraybuffer";
  globalThis.got = 0;
  b.ondatachannel = e => {
    e.channel.binaryType = "arraybuffer";
    e.channel.onmessage = m => { globalThis.got += m.data.byteLength; };
  };
  await a.setLocalDescription();
  await b.setRemoteDescription(a.localDescription);
  await b.setLocalDescription();
  await a.setRemoteDescription(b.localDescription);
  await new Promise(resolve => { channel.onopen = resolve; });
});
for (const size of [65536, 1024, 64]) {
  const before = cpu();
  const { bytes, time } = await page.evaluate(async ({ size, seconds }) => {
    const channel = globalThis.channel, message = new Uint8Array(size), HIGH = 1 << 20;
    channel.bufferedAmountLowThreshold = HIGH / 2;
    const before = globalThis.got, start = performance.now();
    let sent = before;
    while (performance.now() - start < seconds * 1000) {
      // In slices, so that the receiving end has its turn.
      for (let i = 0; i < 256 && channel.bufferedAmount < HIGH; i++) { channel.send(message); sent += size; }
      if (channel.bufferedAmount < HIGH) await new Promise(resolve => setTimeout(resolve));
      else await new Promise(resolve => { channel.onbufferedamountlow = resolve; });
    }
    while (globalThis.got < sent) await new Promise(resolve => setTimeout(resolve, 5));
    return { bytes: globalThis.got - before, time: (performance.now() - start) / 1000 };
  }, { size, seconds });
  const spent = cpu() - before;
  console.log(`driver bulk-${size} chromium-to-chromium ${(bytes / 1e6 / time).toFixed(1)} MB/s ` +
    `${(bytes / 1e6 / spent).toFixed(2)} MB/cpu-s [${time.toFixed(1)} s, ${spent.toFixed(2)} CPU-s]`);
}
await browser.close();
rmSync(profile, { recursive: true, force: true });
