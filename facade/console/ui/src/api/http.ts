import { queryString, type Request } from '../lib/code';

/** ApiError is an answer of the service that is no success, or that there was none (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly requestId: string,
    readonly retryAfter?: number,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

async function failure(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => '');
  let fields: Record<string, unknown> = {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (parsed && typeof parsed === 'object') fields = parsed as Record<string, unknown>;
  } catch {
    // An answer of something between us and the service.
  }
  const string = (...names: string[]) => names.map((n) => fields[n]).find((v): v is string => typeof v === 'string' && v !== '');
  const wait = Number(response.headers.get('Retry-After'));
  return new ApiError(
    response.status,
    string('error_code', 'code') ?? '',
    string('error_msg', 'detail', 'message') ?? response.statusText,
    string('request_id') ?? response.headers.get('X-Request-Id') ?? '',
    wait > 0 ? wait : undefined,
  );
}

const expired = new Set<() => void>();

/** onExpired calls back when the service says that nobody is signed in any more. */
export function onExpired(f: () => void): () => void {
  expired.add(f);
  return () => void expired.delete(f);
}

export interface Options {
  signal?: AbortSignal;
  headers?: Record<string, string>;
}

/** send makes a request and answers the text of its response. */
export async function send(project: string, r: Request, o: Options = {}): Promise<string> {
  const root = r.path.startsWith('/admin') ? '' : `/v2/${project}`;
  let response: Response;
  try {
    response = await fetch(root + r.path + queryString(r.query), {
      method: r.method,
      credentials: 'same-origin',
      headers: { Accept: 'application/json', ...(r.body === undefined ? {} : { 'Content-Type': 'application/json' }), ...o.headers },
      ...(r.body === undefined ? {} : { body: r.body }),
      ...(o.signal ? { signal: o.signal } : {}),
    });
  } catch (err) {
    if (err instanceof DOMException && err.name === 'AbortError') throw err;
    throw new ApiError(0, '', '', '');
  }
  if (!response.ok) {
    const err = await failure(response);
    if (err.status === 401) expired.forEach((f) => f());
    throw err;
  }
  return response.text();
}

export async function json<T>(project: string, r: Request, o?: Options): Promise<T> {
  const text = await send(project, r, o);
  return (text === '' ? undefined : JSON.parse(text)) as T;
}
