/** The plan of rkt-prober, written: see prober/README.md. Pure. */
import type { Request } from '../host/netlink/socket.ts';
import { encodeRequests } from '../host/netlink/batch.ts';
import type { Ip } from '../model/cidr.ts';
import type { Protocol } from '../policy/model/values.ts';

/** Descriptor of namespace 0 in the prober; that of namespace n is n above it. */
export const spaceFd = 100;

export interface ProbeLine {
  readonly from: number;
  readonly to: number;
  readonly protocol: Protocol;
  readonly port: number;
}

export class ProberPlan {
  readonly #parts: Buffer[] = [];

  #line(text: string): void {
    this.#parts.push(Buffer.from(`${text}\n`));
  }
  #blob(text: string, bytes: Buffer): void {
    this.#line(`${text} ${bytes.length}`);
    this.#parts.push(bytes);
  }

  space(number: number): void {
    this.#line(`space ${number}`);
  }
  drop(number: number): void {
    this.#line(`drop ${number}`);
  }
  /** Sends requests in each namespace from `first` to `last` that is there. */
  route(first: number, last: number, requests: readonly Request[]): void {
    for (const datagram of encodeRequests(requests)) this.#blob(`route ${first} ${last}`, datagram);
  }
  /** One nfnetlink transaction in namespace 0. */
  filter(bytes: Buffer): void {
    this.#blob('filter', bytes);
  }
  /** The same without an answer that tells how long it took. */
  quietFilter(bytes: Buffer): void {
    this.#blob('quiet', bytes);
  }
  /** Runs a shell command in namespace 0 with `input`. */
  enforce(command: string, input: string): void {
    const [first, second] = [Buffer.from(command), Buffer.from(input)];
    this.#line(`enforce ${first.length} ${second.length}`);
    this.#parts.push(first, second);
  }
  /** Until the link carries packets. */
  await(number: number, link: number): void {
    this.#line(`await ${number} ${link}`);
  }
  sysctl(number: number, key: string, value: string): void {
    this.#line(`sysctl ${number} ${key} ${value}`);
  }
  endpoint(number: number, space: number, ip: Ip): void {
    this.#line(`endpoint ${number} ${space} ${ip.text}`);
  }
  removeEndpoint(number: number): void {
    this.#line(`remove ${number}`);
  }
  listen(endpoint: number, protocol: Protocol, port: number): void {
    this.#line(`listen ${endpoint} ${protocol.toLowerCase()} ${port}`);
  }
  evidence(table: string, sets: readonly [string, string]): void {
    this.#line(`evidence ${table} ${sets[0]} ${sets[1]}`);
  }
  /** `patienceMs`: how long probes without evidence are sent again. */
  probe(probes: readonly ProbeLine[], patienceMs: number): void {
    const lines = probes.map(({ from, to, protocol, port }) => `${from} ${to} ${protocol.toLowerCase()} ${port}\n`);
    this.#line(`probe ${probes.length} ${patienceMs}`);
    this.#parts.push(Buffer.from(lines.join('')));
  }

  /** Connections that stay open, TCP and UDP. */
  hold(flows: readonly ProbeLine[]): void {
    this.#line(`hold ${flows.length}`);
    this.#parts.push(Buffer.from(flows.map(({ from, to, protocol, port }) => `${from} ${to} ${protocol.toLowerCase()} ${port}\n`).join('')));
  }
  tryHeld(patienceMs: number): void {
    this.#line(`held ${patienceMs}`);
  }
  /** Conntrack forgets every flow: each packet is a new connection's. */
  flush(): void {
    this.#line('flush');
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }
}
