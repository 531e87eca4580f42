/* rkt-prober: the network namespaces of a policy experiment, and the packets sent in them. See README.md. */
#ifndef PROBER_H
#define PROBER_H
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Namespace i is open as descriptor SPACE_FD + i, so that whoever writes the plan can name it in netlink messages. */
#define SPACE_FD 100
#define MAX_SPACES 4096

/* ---- main.c: what cannot go on ends here, said on standard output */
__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...);
int64_t now_ns(void);
void *grown(void *array, size_t *capacity, size_t needed, size_t size);

/* ---- space.c: namespaces and what is sent into them */
void make_bench(void);
void make_space(unsigned number);
void drop_space(unsigned number);
bool has_space(unsigned number);
void enter_space(unsigned number);
/* A netlink socket of namespace `number`; stays open, for closing one may wait for the kernel. */
int netlink_of(unsigned number, int family);
/* Sends one datagram of requests and reads answers up to that of the last one, which must ask to be acknowledged. */
void send_requests(const char *what, unsigned number, int family, const uint8_t *data, size_t length);
/* Until the link can carry packets, two seconds at most. */
void await_link(unsigned number, unsigned link);
void await_address(unsigned number, const struct in6_addr *address);
void set_sysctl(unsigned number, const char *path, const char *value);
void flush_conntrack(void);
/* Runs `command` (sh) in namespace 0 with `input` on its standard input, to its end. */
void run_enforcer(const char *command, const uint8_t *input, size_t length);

/* ---- endpoint.c: addresses that send and listen */
enum protocol { TCP = 6, UDP = 17, SCTP = 132 };
struct endpoint {
  bool used;
  unsigned space;
  struct sockaddr_storage address;
  int raw_fd;    /* SCTP, both ways; -1: none */
  int sender_fd; /* UDP, of the batch that is under way; -1: none */
};
extern struct endpoint *endpoints;
extern size_t endpoint_count;
extern int epoll_fd;

/* What an epoll event is about. */
enum source { TCP_TARGET, UDP_TARGET, SCTP_TARGET, UDP_SENDER };
struct watch {
  enum source source;
  int fd;
  uint32_t endpoint;
  uint16_t port;
  bool used;
};
extern struct watch *watches;
extern size_t watch_count;

void add_endpoint(uint32_t number, unsigned space, const char *address);
void remove_endpoint(uint32_t number);
void listen_on(uint32_t number, enum protocol protocol, uint16_t port);
bool is_listened(uint16_t port);
/* Endpoint with this address (4 or 16 bytes), -1: none. */
int64_t endpoint_at(const void *address, size_t length);
const void *address_bytes(const struct sockaddr_storage *address, size_t *length);
struct sockaddr_storage with_port(const struct sockaddr_storage *address, uint16_t port);
uint32_t watch_fd(enum source source, int fd, uint32_t endpoint, uint16_t port);
void unwatch(uint32_t number);

/* ---- sctp.c */
/* An INIT chunk with its header; @returns its length. */
size_t sctp_init(uint8_t *packet, uint16_t from, uint16_t to);
/* Whether `packet` begins with an INIT; its ports. */
bool is_sctp_init(const uint8_t *packet, size_t length, uint16_t *from, uint16_t *to);

/* ---- probe.c */
struct probe {
  uint32_t from, to; /* endpoints */
  enum protocol protocol;
  uint16_t port;
  int fd; /* TCP while it is tried, else -1 */
  bool handshake, delivered, replied, denied;
  bool seen; /* it left its source */
  uint32_t rule[2]; /* recorded by the kernel: egress, ingress; 0: none */
  uint32_t rtt_us;  /* TCP */
};
/* Probe of the batch under way with this tuple, NULL: none. */
struct probe *find_probe(uint32_t from, uint32_t to, enum protocol protocol, uint16_t port);
/* Reads `count` lines `FROM TO PROTOCOL PORT` and answers with as many. */
void run_batch(FILE *plan, size_t count, long patience_ms);

/* Takes all that has arrived, waiting up to `wait_ms` for the first of it. */
void drain_arrivals(int wait_ms);

/* ---- held.c: connections that stay open. Their source port is no batch's. */
#define HELD_PORT 19000
size_t held_count(void);
/* Whether an accepted connection is one of them; it is theirs then. */
bool take_held(int fd, const struct sockaddr_storage *peer, uint32_t to, uint16_t port);
/* Reads `count` lines as run_batch() does, opens them, and answers as try_held() does. */
void hold_flows(FILE *plan, size_t count);
/* A byte there and back on each; answers with a letter for each: K kept, C cut, G gone with a pod. */
void try_held(long patience_ms);

/* ---- evidence.c: what the kernel recorded of each flow */
void watch_evidence(const char *table, const char *set4, const char *set6);
/* Notes rule and denial in the probes whose source port is `port`. */
void read_evidence(uint16_t port, bool ipv4, bool ipv6);
#endif
