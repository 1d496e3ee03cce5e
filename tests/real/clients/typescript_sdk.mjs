// Drives the TypeScript SDK; speaks to its caller as python_sdk.py does. `node typescript_sdk.mjs URL`.
// Resolved from the folder it is started in, where the SDK is installed.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const installed = createRequire(pathToFileURL(`${process.cwd()}/`));
const load = (name) => import(pathToFileURL(installed.resolve(name)).href);
const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
const words = (failure) => `${failure.name}: ${failure.message} ${failure.code ?? ""}`;

async function answer(client, asked) {
  if (asked.do === "tools") return { tools: (await client.listTools()).tools.map((tool) => tool.name) };
  const result = await client.callTool({ name: asked.tool, arguments: asked.arguments ?? {} });
  return { text: result.content.map((part) => part.text ?? "").join(""), is_error: result.isError === true };
}

const headers = { Authorization: `Bearer ${process.env.GRANT}` };
const client = new Client({ name: "typescript-sdk", version: "1" });
try {
  const transport = new StreamableHTTPClientTransport(new URL(process.argv[2]), { requestInit: { headers } });
  await client.connect(transport);
  say({ connected: transport.protocolVersion ?? "" });
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      say(await answer(client, JSON.parse(line)));
    } catch (failure) {
      say({ failed: words(failure) });
    }
  }
  await client.close();
} catch (failure) {
  say({ failed: words(failure) });
}
process.exit(0);
