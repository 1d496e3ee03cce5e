// Drives the TypeScript SDK 2.x in either era, all of it: see conversing.py. `open` says era: legacy, auto or a version.
import { Connection, load, serve } from "./conversing.mjs";

const SDK = "@modelcontextprotocol/client";
const { Client, StreamableHTTPClientTransport, SSEClientTransport, LOG_LEVEL_META_KEY } = await load(SDK);
const { StdioClientTransport } = await load(`${SDK}/stdio`);

function transportFor({ way, url, headers, command, args, env }) {
  if (way === "stdio") return new StdioClientTransport({ command, args, env, stderr: "ignore" });
  if (way === "http") return new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
  return new SSEClientTransport(new URL(url), { requestInit: { headers } });
}

class Newer extends Connection {
  async open() {
    const { era, version } = this.asked;
    const mode = era === "legacy" || era === "auto" ? era : { pin: era };
    const proposed = version ? { supportedProtocolVersions: [version] } : {};
    const options = { capabilities: this.capabilities, versionNegotiation: { mode }, ...proposed };
    this.client = new Client({ name: this.voice, version: "1" }, options);
    const answers = [
      ["sampling", "sampling/createMessage", (params) => this.answerSampling(params)],
      ["elicitation", "elicitation/create", (params) => this.answerElicitation(params)],
      ["roots", "roots/list", () => this.answerRoots()],
    ];
    for (const [what, method, answer] of answers)
      if (this.can(what)) this.client.setRequestHandler(method, (request) => answer(request.params));
    this.client.fallbackNotificationHandler = async (told) => this.noteNotification(told);
    this.transport = transportFor(this.asked);
    await this.client.connect(this.transport);
  }

  version() {
    return this.client.getNegotiatedProtocolVersion();
  }

  callTool(params, options) {
    const meta = this.asked.level ? { _meta: { [LOG_LEVEL_META_KEY]: this.asked.level } } : {};
    return this.client.callTool({ ...params, ...meta }, options);
  }

  async listen({ filter }) {
    const names = {
      tools_list_changed: "toolsListChanged",
      prompts_list_changed: "promptsListChanged",
      resources_list_changed: "resourcesListChanged",
      resource_subscriptions: "resourceSubscriptions",
    };
    const wanted = Object.fromEntries(Object.entries(filter).map(([name, value]) => [names[name], value]));
    this.subscription = await this.client.listen(wanted);
    this.subscription.closed.then((how) => how === "local" || this.heard.note("lost", { how }));
    return this.subscription.honoredFilter;
  }
}

await serve((asked) => new Newer(asked));
