// Questions to our own routes: JSON in, JSON out, errors in the server's own words.

const TIMEOUT_MS = 20_000;

/** Throws an Error whose message can be shown; `status` is missing where no answer came. */
export async function ask(url, { method = 'GET', body, text, timeout = TIMEOUT_MS } = {}) {
  const sends = body !== undefined || text !== undefined;
  const options = sends ? { headers: { 'content-type': 'application/json' }, body: text ?? JSON.stringify(body) } : {};
  const answer = await fetch(url, { method, cache: 'no-store', signal: AbortSignal.timeout(timeout), ...options });
  if (answer.ok) return answer.json();
  const { detail } = answer.status < 500 ? await answer.json().catch(() => ({})) : {};
  throw Object.assign(new Error(typeof detail === 'string' ? detail : `The server answered ${answer.status}.`), { status: answer.status });
}
