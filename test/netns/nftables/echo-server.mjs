// Tells every TCP and UDP client on PORT the address it came from. argv: port
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
const port = Number(process.argv[2]);
const plain = (address) => address.replace(/^::ffff:/, '');
createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.end(`${plain(socket.remoteAddress ?? '')}\n`);
}).listen(port, '::', () => process.stdout.write('ready\n'));
const udp = createSocket('udp6');
udp.on('message', (_, from) => udp.send(`${plain(from.address)}\n`, from.port, from.address));
udp.bind(port, '::');
