/* A batch of probes: sent, watched where they should arrive, and looked up in what the kernel recorded. No verdict comes from a time-out. */
#define _GNU_SOURCE
#include "prober.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct probe *probes;
static size_t probe_count, probe_capacity;
static uint32_t *slots;
static size_t slot_count, slot_capacity;
/* Source port of the batch: all its flows are told from those of other batches by it. */
static uint16_t source_port = 20000;
static unsigned since_flush;

/* ---- probes by tuple ------------------------------------------------------------------------------ */

static size_t slot_of(uint32_t from, uint32_t to, enum protocol protocol, uint16_t port) {
  uint64_t key = ((uint64_t)from << 40) ^ ((uint64_t)to << 20) ^ ((uint64_t)protocol << 16) ^ port;
  key *= 0x9e3779b97f4a7c15ull;
  return (size_t)(key >> 20) % slot_count;
}

struct probe *find_probe(uint32_t from, uint32_t to, enum protocol protocol, uint16_t port) {
  for (size_t at = slot_of(from, to, protocol, port); slots[at] != 0; at = (at + 1) % slot_count) {
    struct probe *it = &probes[slots[at] - 1];
    if (it->from == from && it->to == to && it->protocol == protocol && it->port == port) return it;
  }
  return NULL;
}

static void read_probes(FILE *plan, size_t count) {
  char line[128], name[8];
  probes = grown(probes, &probe_capacity, count, sizeof *probes);
  slots = grown(slots, &slot_capacity, count * 2 + 1, sizeof *slots);
  slot_count = count * 2 + 1;
  memset(slots, 0, slot_count * sizeof *slots);
  for (probe_count = 0; probe_count < count; probe_count++) {
    struct probe *it = &probes[probe_count];
    *it = (struct probe){.fd = -1};
    if (fgets(line, sizeof line, plan) == NULL || sscanf(line, "%u %u %7s %hu", &it->from, &it->to, name, &it->port) != 4)
      fail("plan probe %zu", probe_count);
    it->protocol = name[0] == 't' ? TCP : name[0] == 'u' ? UDP : SCTP;
    if (it->from >= endpoint_count || it->to >= endpoint_count || !endpoints[it->from].used || !endpoints[it->to].used)
      fail("plan probe %zu: no endpoint", probe_count);
    size_t at = slot_of(it->from, it->to, it->protocol, it->port);
    while (slots[at] != 0) at = (at + 1) % slot_count;
    slots[at] = (uint32_t)probe_count + 1;
  }
}

/* ---- sending -------------------------------------------------------------------------------------- */

static void leave(struct probe *it) {
  if (it->fd >= 0) close(it->fd);
  it->fd = -1;
}

/* Looks how far a connection came. One under way is left alone: its SYN may still be in a queue of the kernel, and a second
 * socket with the same tuple, after the target took that one, never gets an answer (TCPACKSkippedSynRecv). TCP resends by itself. */
static void look_at(struct probe *it) {
  struct tcp_info info;
  socklen_t length = sizeof info;
  if (it->fd < 0) return;
  if (getsockopt(it->fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) info.tcpi_state = 7;
  if (info.tcpi_state == 1 /* TCP_ESTABLISHED */) {
    it->handshake = true;
    it->rtt_us = info.tcpi_rtt;
  }
  if (it->handshake || it->denied || info.tcpi_state == 7 /* TCP_CLOSE: refused, unreachable */) leave(it);
}

static void connect_to(struct probe *it) {
  const struct endpoint *from = &endpoints[it->from];
  struct sockaddr_storage own = with_port(&from->address, source_port), target = with_port(&endpoints[it->to].address, it->port);
  const int on = 1;
  /* It ends by a reset: no port stays in TIME_WAIT. */
  const struct linger abort = {.l_onoff = 1, .l_linger = 0};
  if (it->fd >= 0) return;
  it->fd = socket(own.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (it->fd < 0) fail("probe socket: %s", strerror(errno));
  setsockopt(it->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(it->fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  if (bind(it->fd, (struct sockaddr *)&own, sizeof own) != 0) fail("probe bind: %s", strerror(errno));
  /* Refused or unreachable: no evidence, which is what is then reported, unless a later round has more luck. */
  if (connect(it->fd, (struct sockaddr *)&target, sizeof target) != 0 && errno != EINPROGRESS) leave(it);
  else look_at(it);
}

static int udp_sender(uint32_t number) {
  struct endpoint *it = &endpoints[number];
  if (it->sender_fd >= 0) return it->sender_fd;
  struct sockaddr_storage own = with_port(&it->address, source_port);
  int fd = socket(own.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) != 0) fail("probe udp: %s", strerror(errno));
  it->sender_fd = fd;
  watch_fd(UDP_SENDER, fd, number, 0);
  return fd;
}

static void send_probe(struct probe *it) {
  uint8_t packet[64] = "rkt probe";
  size_t length = 9;
  int fd;
  enter_space(endpoints[it->from].space);
  if (it->protocol == TCP) {
    connect_to(it);
    return;
  }
  if (it->protocol == UDP) fd = udp_sender(it->from);
  else {
    listen_on(it->from, SCTP, 0);
    fd = endpoints[it->from].raw_fd;
    length = sctp_init(packet, source_port, it->port);
  }
  struct sockaddr_storage target = with_port(&endpoints[it->to].address, it->protocol == UDP ? it->port : 0);
  /* A full queue or an ICMP error of an earlier one: the next round sends it again. */
  ssize_t sent = sendto(fd, packet, length, 0, (struct sockaddr *)&target, sizeof target);
  (void)sent;
}

/* ---- what arrives --------------------------------------------------------------------------------- */

static struct probe *probe_between(const struct sockaddr_storage *source, uint32_t target, enum protocol protocol, uint16_t port) {
  size_t length;
  const void *bytes = address_bytes(source, &length);
  int64_t from = endpoint_at(bytes, length);
  return from < 0 ? NULL : find_probe((uint32_t)from, target, protocol, port);
}

static uint16_t port_of(const struct sockaddr_storage *address) {
  return ntohs(address->ss_family == AF_INET ? ((const struct sockaddr_in *)address)->sin_port
                                             : ((const struct sockaddr_in6 *)address)->sin6_port);
}

static void take(const struct watch *watch) {
  uint8_t packet[2048];
  struct sockaddr_storage peer;
  for (;;) {
    socklen_t size = sizeof peer;
    struct probe *it = NULL;
    if (watch->source == TCP_TARGET) {
      int fd = accept4(watch->fd, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC);
      if (fd < 0 && errno == ECONNABORTED) continue;
      if (fd < 0) return;
      if (port_of(&peer) == HELD_PORT && take_held(fd, &peer, watch->endpoint, watch->port)) {
        fcntl(fd, F_SETFL, O_NONBLOCK);
        continue;
      }
      close(fd);
      if (port_of(&peer) == source_port) it = probe_between(&peer, watch->endpoint, TCP, watch->port);
      if (it != NULL) it->delivered = true;
      continue;
    }
    ssize_t got = recvfrom(watch->fd, packet, sizeof packet, 0, (struct sockaddr *)&peer, &size);
    if (got < 0 && errno != EAGAIN && errno != EINTR) continue; /* an ICMP error, told once */
    if (got < 0) return;
    if (watch->source == UDP_TARGET) {
      if (port_of(&peer) == source_port) it = probe_between(&peer, watch->endpoint, UDP, watch->port);
      if (it == NULL && port_of(&peer) != HELD_PORT) continue;
      if (it != NULL) it->delivered = true;
      sendto(watch->fd, packet, (size_t)got, 0, (struct sockaddr *)&peer, size);
    } else if (watch->source == UDP_SENDER) {
      size_t length;
      const void *bytes = address_bytes(&peer, &length);
      int64_t to = endpoint_at(bytes, length);
      if (to >= 0) it = find_probe(watch->endpoint, (uint32_t)to, UDP, port_of(&peer));
      if (it != NULL) it->replied = true;
    } else {
      /* IPv4 shows its own header as well. */
      size_t skip = peer.ss_family == AF_INET ? (size_t)(packet[0] & 15) * 4 : 0;
      uint16_t from, to;
      if ((size_t)got < skip || !is_sctp_init(packet + skip, (size_t)got - skip, &from, &to) || from != source_port) continue;
      it = probe_between(&peer, watch->endpoint, SCTP, to);
      if (it != NULL) it->delivered = true;
    }
  }
}

void drain_arrivals(int wait_ms) {
  struct epoll_event events[256];
  for (int count; (count = epoll_wait(epoll_fd, events, 256, wait_ms)) > 0; wait_ms = 0)
    for (int i = 0; i < count; i++)
      if (watches[events[i].data.u32].used) take(&watches[events[i].data.u32]);
}

/* ---- a batch -------------------------------------------------------------------------------------- */

enum { LEAST_ROUNDS = 10 };

static bool is_allowed(const struct probe *it) { return it->handshake || it->replied || (it->protocol != TCP && it->delivered); }
/* UDP that arrived is allowed, and yet its answer is waited for: answers are part of what is tried. */
static bool is_settled(const struct probe *it) {
  return it->denied || it->handshake || it->replied || (it->protocol == SCTP && it->delivered);
}

static void look_up_evidence(void) {
  bool family[2] = {false, false};
  for (size_t i = 0; i < probe_count; i++) family[endpoints[probes[i].from].address.ss_family == AF_INET6] = true;
  read_evidence(source_port, family[0], family[1]);
}

/* @returns how many connections are still under way */
static size_t look_at_all(void) {
  size_t open = 0;
  for (size_t i = 0; i < probe_count; i++) {
    look_at(&probes[i]);
    open += probes[i].fd >= 0;
  }
  return open;
}

/* One round of those that are not settled; few at a time, so that queues of sockets hold them. */
static void send_round(void) {
  enum { AT_A_TIME = 192, MOST_OPEN = 1024 };
  size_t flying = 0, open = 0;
  for (size_t i = 0; i < probe_count; i++) {
    if (is_settled(&probes[i])) continue;
    send_probe(&probes[i]);
    open += probes[i].fd >= 0;
    if (++flying < AT_A_TIME) continue;
    flying = 0;
    drain_arrivals(0);
    if (open < MOST_OPEN) continue;
    look_up_evidence();
    open = look_at_all();
  }
  drain_arrivals(0);
}

static size_t open_probes(void) {
  size_t count = 0;
  for (size_t i = 0; i < probe_count; i++) count += !is_settled(&probes[i]);
  return count;
}

static char letter(const struct probe *it) {
  if (is_allowed(it)) return it->handshake ? 'H' : it->replied ? 'R' : it->protocol == SCTP ? 'I' : 'd';
  return it->denied ? 'X' : it->seen ? 'S' : '?';
}

void run_batch(FILE *plan, size_t count, long patience_ms) {
  read_probes(plan, count);
  do source_port = source_port >= 60000 ? 20000 : source_port + 1;
  while (is_listened(source_port));
  /* Every allowed flow stays in the kernel's table for a while, and that is of limited size. */
  if ((since_flush += (unsigned)count) > 20000 && held_count() == 0) {
    flush_conntrack();
    since_flush = 0;
  }
  int64_t start = now_ns();
  /* What is lost is so in the first moments of a pod; later rounds are ever rarer. A machine that stood still does not end it. */
  for (int round = 0; round == 0 || (open_probes() > 0 && (round < LEAST_ROUNDS || now_ns() - start < patience_ms * 1000000LL)); round++) {
    if (round > 0) drain_arrivals(round < 4 ? 1 << round : 50);
    send_round();
    look_up_evidence();
    drain_arrivals(0);
    look_at_all();
  }
  printf("batch %zu %lld\n", count, (long long)(now_ns() - start) / 1000);
  for (size_t i = 0; i < probe_count; i++)
    printf("%c %u %u %u\n", letter(&probes[i]), probes[i].rule[0], probes[i].rule[1], probes[i].rtt_us);
  fflush(stdout);
  for (size_t i = 0; i < probe_count; i++) leave(&probes[i]);
  for (size_t i = 0; i < endpoint_count; i++) endpoints[i].sender_fd = -1;
  for (uint32_t i = 0; i < watch_count; i++)
    if (watches[i].used && watches[i].source == UDP_SENDER) unwatch(i);
}
