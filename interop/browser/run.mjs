// The programs, the browser, the list of checks, the summary.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const here = new URL(".", import.meta.url).pathname;
const examples = resolve(process.env.TINCAN_EXAMPLES ?? "target/release/examples");
const wanted = process.argv.slice(2);
const pageScript = readFileSync(join(here, "page.js"), "utf8");

/** Runs one of our examples; resolves when it prints something that matches `ready`. */
export async function program(name, args, ready) {
  const child = spawn(join(examples, name), args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stderr.on("data", data => { output += data; });
  const ended = new Promise(done => child.on("exit", code => done(code)));
  const matched = await new Promise((ok, no) => {
    createInterface({ input: child.stdout }).on("line", line => {
      output += line + "\n";
      const match = ready?.exec(line);
      if (match) ok(match);
    });
    ended.then(code => (ready ? no(new Error(`${name} ended with ${code}:\n${output}`)) : ok()));
    if (!ready) ended.then(ok);
  });
  return { child, matched, ended, output: () => output };
}

/** Fails with a layer's name. */
export class Failed extends Error {
  constructor(layer, message) { super(`${layer}: ${message}`); this.layer = layer; }
}

export function expect(condition, layer, message) {
  if (!condition) throw new Failed(layer, message);
}

/** A fresh page of the demo's origin with the helpers of page.js, closed by the caller. */
async function open(browser, url) {
  const context = await browser.newContext({ permissions: ["camera", "microphone"] });
  const page = await context.newPage();
  page.on("pageerror", error => console.log(`      page: ${error.message}`));
  // A document of the same origin without a script: the demo's own page has its own.
  await page.goto(new URL("/stats", url).href);
  await page.addScriptTag({ content: pageScript });
  return page;
}

const modules = ["data", "media", "loss", "signalling", "negotiation", "dial", "demo-page", "examples", "network", "time"];
const demo = await program("demo", ["--listen", "127.0.0.1:0"], /open (http:\S+)/);
const url = demo.matched[1];
const profile = mkdtempSync(join(tmpdir(), "tincan-chromium-"));
const flags = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream",
  "--autoplay-policy=no-user-gesture-required", ...(process.env.CHROMIUM_FLAGS?.split(" ") ?? []),
];
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launchPersistentContext(profile, {
  executablePath, headless: true, args: [...flags, "--use-fake-ui-for-media-stream"],
});

/** A page in a browser of its own whose user has allowed no camera: it hides its host addresses behind `.local` names. */
async function withStranger(url, work) {
  const stranger = await chromium.launch({ executablePath, headless: true, args: flags });
  try {
    const page = await stranger.newPage();
    await page.goto(new URL("/stats", url).href);
    await page.addScriptTag({ content: pageScript });
    return await work(page);
  } finally {
    await stranger.close();
  }
}
const pages = {
  async newContext() { return { newPage: () => browser.newPage(), close: async () => {} }; },
};
console.log(`Chromium ${browser.browser()?.version() ?? ""} against ${url}`);

let passed = 0, failed = 0;
const figures = {};
for (const module of modules) {
  const { checks } = await import(`./checks/${module}.mjs`);
  for (const [name, check] of Object.entries(checks)) {
    const full = `${module}: ${name}`;
    if (wanted.length && !wanted.some(word => full.includes(word))) continue;
    const page = await open(pages, url);
    const begun = performance.now();
    try {
      const limit = check.seconds ?? 60;
      let timer;
      const late = new Promise((_, no) => { timer = setTimeout(() => no(new Failed("time", `not done in ${limit} s`)), limit * 1000); });
      const said = await Promise.race([check.run({ page, url, program, expect, figures, examples, open: () => open(pages, url), browser, withStranger }), late]).finally(() => clearTimeout(timer));
      passed++;
      console.log(`  ok   ${full} (${Math.round(performance.now() - begun)} ms)${said ? ` — ${said}` : ""}`);
    } catch (error) {
      failed++;
      const state = await page.evaluate(() => globalThis.diagnose?.()).catch(() => undefined);
      console.log(`  FAIL ${full}\n       ${error.message.split("\n").slice(0, 6).join("\n       ")}${state ? `\n       stopped at: ${state}` : ""}`);
    }
    await page.close().catch(() => {});
  }
}
await browser.close().catch(() => {});
demo.child.kill("SIGINT");
const code = await Promise.race([demo.ended, new Promise(done => setTimeout(() => { demo.child.kill("SIGKILL"); done("killed"); }, 5000))]);
if (code !== 0) { failed++; console.log(`  FAIL the demo ended with ${code}:\n${demo.output()}`); }
rmSync(profile, { recursive: true, force: true });
if (Object.keys(figures).length) console.log(`figures ${JSON.stringify(figures)}`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
