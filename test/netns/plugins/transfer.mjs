// sink PORT: prints "ready", then the bytes a second it was sent after the first SKIP bytes. source HOST PORT BYTES: sends.
import { connect, createServer } from 'node:net';

const [role, ...args] = process.argv.slice(2);
if (role === 'sink') {
  const skip = Number(args[1]);
  const server = createServer((socket) => {
    let [received, from, startedAt] = [0, 0, 0n];
    socket.on('data', (chunk) => {
      received += chunk.length;
      if (startedAt === 0n && received >= skip) [startedAt, from] = [process.hrtime.bigint(), received];
    });
    socket.on('end', () => {
      console.log((received - from) / (Number(process.hrtime.bigint() - startedAt) / 1e9));
      process.exit(0);
    });
  });
  server.listen({ port: Number(args[0]), host: '::' }, () => console.log('ready'));
} else {
  const socket = connect({ host: args[0], port: Number(args[1]) }, () => socket.end(Buffer.alloc(Number(args[2]))));
}
