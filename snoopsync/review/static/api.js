// Requests to the review server: JSON in, JSON out. The message of an error is for people.

const csrfToken = document.querySelector('meta[name="csrf-token"]').content;

/** Returns the JSON of a GET. Parameters that are null, undefined or "" are left out. */
export async function get(path, parameters = {}) {
  const response = await send(addressOf(path, parameters), {});
  return response.json();
}

/** Returns the text of a GET, and how many names the server left out of it. */
export async function getText(path, parameters = {}) {
  const response = await send(addressOf(path, parameters), {});
  return { text: await response.text(), leftOut: Number(response.headers.get("X-Left-Out") ?? 0) };
}

/** Sends a JSON object and returns the JSON of the answer. */
export async function post(path, body = {}) {
  const headers = { "Content-Type": "application/json" };
  const response = await send(path, { method: "POST", headers, body: JSON.stringify(body) });
  return response.json();
}

/** Sends the bytes of a file and returns the JSON of the answer. */
export async function postFile(path, file) {
  const headers = { "Content-Type": file.type || "application/octet-stream" };
  const response = await send(path, { method: "POST", headers, body: file });
  return response.json();
}

export function addressOf(path, parameters = {}) {
  const given = Object.entries(parameters).filter(
    ([, value]) => value !== null && value !== undefined && value !== "",
  );
  const query = new URLSearchParams(given).toString();
  return query ? `${path}?${query}` : path;
}

async function send(address, options) {
  if (options.method === "POST") options.headers["X-CSRF-Token"] = csrfToken;
  let response;
  try {
    response = await fetch(address, { ...options, credentials: "same-origin" });
  } catch {
    throw new Error("The review page does not answer. Is “snoopsync review” still running?");
  }
  if (response.ok) return response;
  if (response.status === 401) {
    throw new Error("This session has ended. Run “snoopsync review” again.");
  }
  throw new Error(await reasonOf(response));
}

async function reasonOf(response) {
  try {
    return (await response.json()).error ?? `The server answered ${response.status}.`;
  } catch {
    return `The server answered ${response.status}.`;
  }
}
