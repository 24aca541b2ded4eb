// A gate before nodes of the service, such as a load balancer is: it passes bytes on to the first
// node that takes a connection. Closed, it is a network that is down.
import { connect, createServer } from 'node:net';

/** start opens a gate before addresses such as 127.0.0.1:8080. */
export async function start(addresses) {
  const state = { closed: false };
  const open = new Set();
  const server = createServer((from) => {
    open.add(from);
    from.on('close', () => open.delete(from));
    from.on('error', () => from.destroy());
    if (state.closed) return void from.destroy();
    pass(from, [...addresses]);
  });
  const pass = (from, left) => {
    const address = left.shift();
    if (!address) return void from.destroy();
    const [host, port] = address.split(':');
    const to = connect(Number(port), host);
    to.once('connect', () => {
      to.removeAllListeners('error');
      to.on('error', () => from.destroy());
      to.on('close', () => from.destroy());
      from.on('close', () => to.destroy());
      from.pipe(to);
      to.pipe(from);
    });
    to.once('error', () => (to.destroy(), pass(from, left)));
  };
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const cut = () => open.forEach((s) => s.destroy());
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** shut takes the network away, and open gives it back. */
    shut: () => ((state.closed = true), cut()),
    open: () => (state.closed = false),
    cut,
    stop: () => (cut(), new Promise((done) => server.close(done))),
  };
}
