// The puppet example as an object: one command at a time, each answered by one line.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** Starts the example of that folder. `do` sends a command and gives what it answers, or throws what it refuses. */
export async function puppet(examples) {
  const child = spawn(join(examples, "puppet"), [], { stdio: ["pipe", "pipe", "inherit"] });
  const waiting = [];
  createInterface({ input: child.stdout }).on("line", line => waiting.shift()?.(JSON.parse(line)));
  const ended = new Promise(done => child.on("exit", code => { done(code); for (const w of waiting.splice(0)) w({ error: `the puppet ended with ${code}` }); }));
  const far = {
    async do(what, more = {}) {
      const answer = await new Promise(ok => { waiting.push(ok); child.stdin.write(`${JSON.stringify({ do: what, ...more })}\n`); });
      if ("error" in answer) throw new Error(`puppet: ${what}: ${answer.error}`);
      return answer.ok;
    },
    /** An answer with all candidates in it. */
    async answer() {
      await far.do("set_local");
      for (let tries = 0; tries < 200; tries++) {
        const local = await far.do("local");
        if (local.sdp.includes("a=end-of-candidates")) return local;
        await new Promise(ok => setTimeout(ok, 10));
      }
      throw new Error("puppet: gathering does not end");
    },
    async end() { child.stdin.end(); return ended; },
  };
  return far;
}
