// What the drivers of the TypeScript SDKs share; line by line what conversing.py is for those of Python.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const WAIT_MS = 20_000;
const VALUES = { string: "Ada", boolean: true, integer: 7, number: 7.5 };

// Packages are resolved from the folder that the driver is started in, where they are installed.
const installed = createRequire(pathToFileURL(`${process.cwd()}/`));
export const load = (name) => import(pathToFileURL(installed.resolve(name)).href);

function fillIn(schema, voice) {
  const value = (name) => (name === "email" ? `${voice}@example.org` : VALUES[schema.properties[name].type]);
  return Object.fromEntries((schema.required ?? []).map((name) => [name, value(name)]));
}

class Heard {
  events = [];
  waiting = [];

  note(kind, more = {}) {
    this.events.push({ kind, ...more });
    this.waiting = this.waiting.filter((look) => !look());
  }

  wait(kind, count) {
    const enough = () => this.events.filter((event) => event.kind === kind).length >= count;
    if (enough()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => reject(new Error(`no ${count} of ${kind}: ${JSON.stringify(this.events)}`)), WAIT_MS);
      this.waiting.push(() => enough() && (clearTimeout(limit), resolve(), true));
    });
  }

  take() {
    const taken = this.events;
    this.events = [];
    return taken;
  }
}

export class Connection {
  constructor(asked) {
    this.asked = asked;
    this.voice = asked.voice ?? "Ada";
    this.heard = new Heard();
    this.roots = [{ uri: `file:///${this.voice}`, name: this.voice }];
  }

  can(what) {
    return (this.asked.can ?? []).includes(what);
  }

  get capabilities() {
    const found = {};
    if (this.can("sampling")) found.sampling = {};
    if (this.can("elicitation")) found.elicitation = { form: {}, url: {} };
    if (this.can("roots")) found.roots = { listChanged: true };
    return found;
  }

  answerSampling(params) {
    this.heard.note("sampling", { params });
    const said = params.messages.at(-1).content;
    const content = { type: "text", text: `${this.voice} to: ${(said[0] ?? said).text}` };
    return { role: "assistant", model: "scripted", stopReason: "endTurn", content };
  }

  answerElicitation(params) {
    this.heard.note("elicitation", { params });
    if (params.mode === "url") return { action: "accept" };
    return { action: "accept", content: fillIn(params.requestedSchema, this.voice) };
  }

  answerRoots() {
    this.heard.note("roots");
    return { roots: this.roots };
  }

  noteNotification({ method, params }) {
    if (method === "notifications/message") this.heard.note("log", params);
    else if (method === "notifications/resources/updated") this.heard.note("updated", { uri: params.uri });
    else if (method.endsWith("/list_changed")) this.heard.note("changed", { of: method });
    else if (method === "notifications/elicitation/complete") this.heard.note("complete", params);
  }

  greeting() {
    return {
      protocolVersion: this.version(),
      capabilities: this.client.getServerCapabilities(),
      instructions: this.client.getInstructions(),
      serverInfo: this.client.getServerVersion(),
    };
  }

  async list({ of }) {
    const calls = { tools: "listTools", prompts: "listPrompts", resources: "listResources", resourceTemplates: "listResourceTemplates" };
    const found = await this.client[calls[of]]();
    if (found.nextCursor !== undefined) throw new Error("there is more than one page");
    return found[of];
  }

  async call({ tool, arguments: given, progress }, signal) {
    const told = [];
    const options = { signal };
    if (progress) options.onprogress = (one) => told.push([one.progress, one.total ?? null, one.message ?? null]);
    const found = await this.callTool({ name: tool, arguments: given ?? {} }, options);
    return progress ? { ...found, progress: told } : found;
  }

  async heardSoFar({ kind, count }) {
    if (kind) await this.heard.wait(kind, count ?? 1);
    return this.heard.take();
  }

  async changeRoots({ roots }) {
    this.roots = roots;
    await this.client.sendRootsListChanged();
  }

  // Requests by the name that the lines give them.
  do = {
    list: (asked) => this.list(asked),
    call: (asked, signal) => this.call(asked, signal),
    read: ({ uri }) => this.client.readResource({ uri }),
    prompt: ({ prompt, arguments: given }) => this.client.getPrompt({ name: prompt, arguments: given }),
    complete: ({ ref, argument, known }) =>
      this.client.complete({ ref, argument, ...(known ? { context: { arguments: known } } : {}) }),
    level: ({ level }) => this.client.setLoggingLevel(level),
    subscribe: ({ uri }) => this.client.subscribeResource({ uri }),
    unsubscribe: ({ uri }) => this.client.unsubscribeResource({ uri }),
    ping: () => this.client.ping(),
    discover: () => this.client.discover(),
    roots: (asked) => this.changeRoots(asked),
    heard: (asked) => this.heardSoFar(asked),
    listen: (asked) => this.listen(asked),
    unlisten: () => this.subscription.close(),
    close: () => this.close(),
  };

  close() {
    this.closing ??= this.leave();
    return this.closing;
  }

  async leave() {
    // A polite client says that it leaves; the SDK leaves that to who uses it.
    if (this.transport.sessionId) await this.transport.terminateSession?.();
    await this.client.close();
  }
}

const failed = (failure) => ({ code: failure.code ?? null, message: failure.message, data: failure.data ?? null });

export async function serve(connect) {
  const connections = new Map();
  const running = new Map();

  async function resultOf(asked) {
    if (asked.do === "open") {
      const connection = connect(asked);
      connections.set(asked.on, connection);
      await connection.open();
      return connection.greeting();
    }
    if (asked.do === "cancel") return running.get(asked.of).abort("not needed");
    const abort = new AbortController();
    running.set(asked.id, abort);
    return connections.get(asked.on).do[asked.do](asked, abort.signal);
  }

  async function answer(asked) {
    let said;
    try {
      said = { result: (await resultOf(asked)) ?? null };
    } catch (failure) {
      said = { failed: failed(failure) };
    }
    process.stdout.write(`${JSON.stringify({ id: asked.id, ...said })}\n`);
  }

  for await (const line of createInterface({ input: process.stdin })) answer(JSON.parse(line));
  for (const connection of connections.values()) await connection.close().catch(() => {});
  process.exit(0);
}
