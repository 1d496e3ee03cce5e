// Drives the TypeScript SDK 1.x, all of it: see conversing.py.
import { Connection, load, serve } from "./conversing.mjs";

const SDK = "@modelcontextprotocol/sdk";
const { Client } = await load(`${SDK}/client/index.js`);
const { StreamableHTTPClientTransport } = await load(`${SDK}/client/streamableHttp.js`);
const { SSEClientTransport } = await load(`${SDK}/client/sse.js`);
const { StdioClientTransport } = await load(`${SDK}/client/stdio.js`);
const types = await load(`${SDK}/types.js`);

function transportFor({ way, url, headers, command, args, env }) {
  if (way === "stdio") return new StdioClientTransport({ command, args, env, stderr: "ignore" });
  if (way === "http") return new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
  return new SSEClientTransport(new URL(url), { requestInit: { headers } });
}

class Older extends Connection {
  async open() {
    this.client = new Client({ name: this.voice, version: "1" }, { capabilities: this.capabilities });
    const answers = [
      ["sampling", types.CreateMessageRequestSchema, (params) => this.answerSampling(params)],
      ["elicitation", types.ElicitRequestSchema, (params) => this.answerElicitation(params)],
      ["roots", types.ListRootsRequestSchema, () => this.answerRoots()],
    ];
    for (const [what, schema, answer] of answers)
      if (this.can(what)) this.client.setRequestHandler(schema, (request) => answer(request.params));
    this.client.fallbackNotificationHandler = async (told) => this.noteNotification(told);
    this.transport = transportFor(this.asked);
    const tell = this.transport.setProtocolVersion?.bind(this.transport);
    this.transport.setProtocolVersion = (version) => {
      this.agreed = version;
      tell?.(version);
    };
    if (this.asked.version) this.propose(this.asked.version);
    await this.client.connect(this.transport);
  }

  // The SDK proposes the newest version that it knows: earlier releases are played by changing this word.
  propose(version) {
    const send = this.transport.send.bind(this.transport);
    this.transport.send = (message, options) => {
      if (message.method === "initialize") message.params.protocolVersion = version;
      return send(message, options);
    };
  }

  version() {
    return this.agreed;
  }

  callTool(params, options) {
    return this.client.callTool(params, undefined, options);
  }
}

await serve((asked) => new Older(asked));
