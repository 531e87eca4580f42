// Asks several echo servers at once. argv: milliseconds, JSON list of [address, port, tcp|udp]. Prints the JSON list of what each said ("none": nothing).
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
const [, , timeoutMs, questions] = process.argv;
const ask = ([to, port, protocol]) =>
  new Promise((done) => {
    const timer = setTimeout(() => done('none'), Number(timeoutMs));
    const answer = (text) => {
      clearTimeout(timer);
      done(String(text).trim() || 'none');
    };
    if (protocol === 'udp') {
      const socket = createSocket(to.includes(':') ? 'udp6' : 'udp4');
      socket.on('error', () => answer('none'));
      socket.on('message', answer);
      socket.send('x', port, to);
      return;
    }
    let text = '';
    const socket = connect({ host: to, port });
    socket.on('error', () => answer('none'));
    socket.on('data', (data) => (text += data));
    socket.on('end', () => answer(text));
  });
process.stdout.write(JSON.stringify(await Promise.all(JSON.parse(questions).map(ask))), () => process.exit(0));
