// The programs, the browser, the list of checks, the summary.
import { spawn } from "node:child_process";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { browsers } from "./browsers.mjs";

const examples = resolve(process.env.TINCAN_EXAMPLES ?? "target/release/examples");
const wanted = process.argv.slice(2);

/** Runs one of our examples; resolves when it prints something that matches `ready`. */
export async function program(name, args, ready) {
  const child = spawn(join(examples, name), args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stderr.on("data", data => { output += data; });
  // "close" comes when all of the output was read, too.
  const ended = new Promise(done => child.on("close", code => done(code)));
  const matched = await new Promise((ok, no) => {
    createInterface({ input: child.stdout }).on("line", line => {
      output += line + "\n";
      const match = ready?.exec(line);
      if (match) ok(match);
    });
    ended.then(code => (ready ? no(new Error(`${name} ended with ${code}:\n${output}`)) : ok()));
    if (!ready) ended.then(ok);
  });
  /** Asks it to end, as Ctrl-C does; its exit code. */
  const stop = async () => {
    child.kill("SIGINT");
    const timer = setTimeout(() => child.kill("SIGKILL"), 20000);
    return ended.finally(() => clearTimeout(timer));
  };
  return { child, matched, ended, stop, output: () => output };
}

/** Fails with a layer's name. */
export class Failed extends Error {
  constructor(layer, message) { super(`${layer}: ${message}`); this.layer = layer; }
}

export function expect(condition, layer, message) {
  if (!condition) throw new Failed(layer, message);
}

const which = process.env.TINCAN_BROWSER ?? "chromium";
const demo = await program("demo", ["--listen", "127.0.0.1:0"], /open (http:\S+)/);
const url = demo.matched[1];
const browser = await browsers[which]();
console.log(`${browser.name} against ${url}`);

/** Real browsers on a busy machine have moments of their own: this many checks of a run may fail once, are said, and must pass in a new page. */
const UNSTEADY = 2;

let passed = 0, failed = 0, unsteady = 0;
const figures = {};

/** One check in a page of its own; what went wrong, or nothing. */
async function attempt(full, check) {
  const begun = performance.now();
  let page;
  try {
    page = await browser.open(url);
    const limit = check.seconds ?? 60;
    let timer;
    const late = new Promise((_, no) => { timer = setTimeout(() => no(new Failed("time", `not done in ${limit} s`)), limit * 1000); });
    const said = await Promise.race([check.run({ page, url, program, expect, figures, examples, open: () => browser.open(url), browser: browser.context, withStranger: browser.withStranger }), late]).finally(() => clearTimeout(timer));
    console.log(`  ok   ${full} (${Math.round(performance.now() - begun)} ms)${said ? ` — ${said}` : ""}`);
  } catch (error) {
    const state = await Promise.race([page?.evaluate(() => globalThis.diagnose?.()), new Promise(ok => setTimeout(ok, 5000))]).catch(() => undefined);
    return `${error.message.split("\n").slice(0, 6).join("\n       ")}${state ? `\n       stopped at: ${state}` : ""}`;
  } finally {
    await page?.close().catch(() => {});
  }
}

for (const module of browser.modules) {
  const { checks } = await import(`./checks/${module}.mjs`);
  for (const [name, check] of Object.entries(checks)) {
    const full = `${module}: ${name}`;
    if (wanted.length && !wanted.some(word => full.includes(word))) continue;
    let wrong = await attempt(full, check);
    if (wrong && unsteady < UNSTEADY) {
      console.log(`  once ${full}\n       ${wrong}`);
      unsteady++;
      wrong = await attempt(full, check);
    }
    if (wrong) console.log(`  FAIL ${full}\n       ${wrong}`);
    wrong ? failed++ : passed++;
  }
}
await browser.close();
const code = await demo.stop();
if (code !== 0) { failed++; console.log(`  FAIL the demo ended with ${code}:\n${demo.output()}`); }
if (Object.keys(figures).length) console.log(`figures ${JSON.stringify(figures)}`);
console.log(`${passed} passed, ${failed} failed${unsteady ? ` (${unsteady} tried twice)` : ""}`);
process.exit(failed ? 1 : 0);
