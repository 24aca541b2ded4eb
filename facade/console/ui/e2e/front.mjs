// A front for tests: it serves the built console under the rules of the service (a strict
// Content-Security-Policy with a nonce) and passes everything else on with a token, as if somebody
// had signed in. Where the service serves the console itself it is not needed.
import { randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { extname, join, normalize } from 'node:path';

const dist = join(import.meta.dirname, '..', '..', 'dist');
const types = { '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.json': 'application/json', '.html': 'text/html; charset=utf-8' };

export function policy(nonce) {
  return `default-src 'none'; script-src 'self' 'nonce-${nonce}'; style-src 'self' 'nonce-${nonce}'; font-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'`;
}

/** start serves the console before a service, and answers where. session may be changed while it runs. */
export async function start({ endpoint, token, session, answer, events }) {
  const state = { session, down: false };
  const server = createServer((req, res) => {
    const url = new URL(req.url, 'http://front');
    if (state.down) return void res.destroy();
    const own = answer?.(req, url);
    if (own) {
      res.writeHead(own.status ?? 200, { 'Content-Type': 'application/json' });
      return void res.end(own.body);
    }
    if (url.pathname === '/console/session') {
      const body = state.session ?? { providers: [{ id: 'dev', name: 'Development' }] };
      res.writeHead(state.session ? 200 : 401, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
      return void res.end(JSON.stringify(body));
    }
    if (url.pathname.startsWith('/console')) return page(url, res);
    if (events && /^\/v2\/[^/]+\/events$/.test(url.pathname)) return stream(res);
    const upstream = request(endpoint + req.url, { method: req.method, headers: { ...req.headers, host: new URL(endpoint).host, 'x-auth-token': state.session ? token : '' } }, (got) => {
      res.writeHead(got.statusCode, got.headers);
      got.pipe(res);
    });
    upstream.on('error', () => res.destroy());
    res.on('close', () => upstream.destroy());
    req.pipe(upstream);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    state,
    /** cut ends all connections there are. */
    cut: () => server.closeAllConnections(),
    stop: () => (server.closeAllConnections(), new Promise((done) => server.close(done))),
  };
}

// stream stands for the events of a service that has none: it says every second that something may
// have changed.
function stream(res) {
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  res.write(': hello\n\n');
  const timer = setInterval(() => res.write('event: queues\ndata: {}\n\nevent: groups\ndata: {}\n\n'), 1000);
  res.on('close', () => clearInterval(timer));
}

function page(url, res) {
  const path = normalize(url.pathname.replace(/^\/console\/?/, ''));
  const headers = { 'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'same-origin' };
  if (path !== '.' && !path.startsWith('..') && extname(path)) {
    try {
      statSync(join(dist, path));
      res.writeHead(200, { ...headers, 'Content-Type': types[extname(path)] ?? 'application/octet-stream', 'Cache-Control': 'max-age=31536000, immutable' });
      return void res.end(readFileSync(join(dist, path)));
    } catch {
      res.writeHead(404, headers);
      return void res.end();
    }
  }
  const nonce = randomBytes(16).toString('base64');
  res.writeHead(200, { ...headers, 'Content-Type': types['.html'], 'Cache-Control': 'no-cache', 'Content-Security-Policy': policy(nonce) });
  res.end(readFileSync(join(dist, 'index.html'), 'utf8').replaceAll('__CSP_NONCE__', nonce));
}
