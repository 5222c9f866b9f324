// The programs, the browser, the list of checks, the summary.
import { spawn } from "node:child_process";
import { cpus, loadavg } from "node:os";
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

const sleep = ms => new Promise(ok => setTimeout(ok, ms));

/** What becomes of it, or an error when that takes longer. */
async function within(promise, seconds, what) {
  let timer;
  const late = new Promise((_, no) => { timer = setTimeout(() => no(new Failed("time", `${what} takes more than ${seconds} s`)), seconds * 1000); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** For what the browser does at once, unless its process is gone or hangs. */
const OPEN_SECONDS = 60, SHUT_SECONDS = 20;

/** Before a second try: a machine that is busy for a moment gets this long to come to rest. */
const REST_SECONDS = { least: 5, most: 30 };

let passed = 0, failed = 0;
const figures = {};

/** One check in a page of its own; what went wrong, or nothing. */
async function attempt(full, check) {
  const begun = performance.now();
  let page;
  try {
    page = await within(browser.open(url), OPEN_SECONDS, "opening a page");
    const run = check.run({ page, url, program, expect, figures, examples, open: () => browser.open(url), browser: browser.context, withStranger: browser.withStranger });
    const said = await within(run, check.seconds ?? 60, "the check");
    console.log(`  ok   ${full} (${Math.round(performance.now() - begun)} ms)${said ? ` — ${said}` : ""}`);
  } catch (error) {
    const state = await Promise.race([page?.evaluate(() => globalThis.diagnose?.()), sleep(5000)]).catch(() => undefined);
    return `${error.message.split("\n").slice(0, 6).join("\n       ")}${state ? `\n       stopped at: ${state}` : ""}`;
  } finally {
    if (page) await within(page.close(), SHUT_SECONDS, "closing the page").catch(() => {});
  }
}

/** Until nobody waits for a processor, or for a while. */
async function rest() {
  const begun = performance.now();
  const rested = () => (performance.now() - begun) / 1000;
  do await sleep(1000);
  while (rested() < REST_SECONDS.least || (loadavg()[0] > cpus().length && rested() < REST_SECONDS.most));
}

const all = [];
for (const module of browser.modules) {
  const { checks } = await import(`./checks/${module}.mjs`);
  for (const [name, check] of Object.entries(checks)) {
    const full = `${module}: ${name}`;
    if (!wanted.length || wanted.some(word => full.includes(word))) all.push([full, check]);
  }
}
// Real browsers on a busy machine have moments of their own, several checks long: so many may fail once, are said, and
// must pass in a new page. What is broken fails twice.
const mayFailOnce = Math.ceil(all.length / 4);
let once = 0;
for (const [full, check] of all) {
  let wrong = await attempt(full, check);
  if (wrong && once < mayFailOnce) {
    console.log(`  once ${full}\n       ${wrong}`);
    once++;
    await rest();
    wrong = await attempt(full, check);
  }
  if (wrong) console.log(`  FAIL ${full}\n       ${wrong}`);
  wrong ? failed++ : passed++;
}
await within(browser.close(), SHUT_SECONDS, "closing the browser").catch(error => console.log(error.message));
const code = await demo.stop();
if (code !== 0) { failed++; console.log(`  FAIL the demo ended with ${code}:\n${demo.output()}`); }
if (Object.keys(figures).length) console.log(`figures ${JSON.stringify(figures)}`);
console.log(`${passed} passed, ${failed} failed${once ? ` (${once} tried twice)` : ""}`);
process.exit(failed ? 1 : 0);
