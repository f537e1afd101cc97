// Requests to the API. Errors are ApiError, with the server's message and hint.

export class ApiError extends Error {
  constructor({ type = "Error", message = "the server cannot be reached", hint = "", at } = {}, status = 0) {
    super(message);
    Object.assign(this, { type, hint, at, status });
  }
}

const TOKEN = "pipeline.token";

export function takeToken() {
  // The address that the program prints has it behind the #, which is never sent anywhere.
  const given = /^#token=(.+)$/.exec(location.hash);
  if (given) {
    sessionStorage.setItem(TOKEN, decodeURIComponent(given[1]));
    history.replaceState(null, "", location.pathname);
  }
}

export function setToken(token) { sessionStorage.setItem(TOKEN, token); }

async function send(path, { method = "GET", body, file, signal } = {}) {
  const headers = {};
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  let reply;
  try {
    reply = await fetch(path, { method, headers, body: file ?? (body === undefined ? undefined : JSON.stringify(body)), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError({ hint: "see whether pipeline web still runs" });
  }
  if (reply.ok) return reply;
  let told = {};
  try { told = (await reply.json()).error; } catch { told = { message: `the server answered with ${reply.status}` }; }
  throw new ApiError(told, reply.status);
}

export async function call(path, options) { return (await send(path, options)).json(); }

export async function* events(path, options) {
  // Server-sent events as [name, value]; an event `error` is thrown.
  const reply = await send(path, options);
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const lines = block.split("\n");
        const name = lines.find((line) => line.startsWith("event: "))?.slice(7) ?? "";
        const content = JSON.parse(lines.find((line) => line.startsWith("data: ")).slice(6));
        if (name === "error") throw new ApiError(content.error);
        yield [name, content];
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

export function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== "" && value !== null);
  return new URLSearchParams(given).toString();
}

export function under(collection, rest = "") { return `/api/collections/${encodeURIComponent(collection)}${rest}`; }
