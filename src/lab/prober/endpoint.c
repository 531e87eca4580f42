/* Endpoints: addresses that send and listen, and the sockets that listen for them. */
#define _GNU_SOURCE
#include "prober.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct endpoint *endpoints;
size_t endpoint_count;
struct watch *watches;
int epoll_fd;
size_t watch_count;
static size_t endpoint_capacity, watch_capacity;

const void *address_bytes(const struct sockaddr_storage *address, size_t *length) {
  if (address->ss_family == AF_INET) {
    *length = 4;
    return &((const struct sockaddr_in *)address)->sin_addr;
  }
  *length = 16;
  return &((const struct sockaddr_in6 *)address)->sin6_addr;
}

struct sockaddr_storage with_port(const struct sockaddr_storage *address, uint16_t port) {
  struct sockaddr_storage copy = *address;
  if (copy.ss_family == AF_INET) ((struct sockaddr_in *)&copy)->sin_port = htons(port);
  else ((struct sockaddr_in6 *)&copy)->sin6_port = htons(port);
  return copy;
}

/* ---- endpoints by address: a closed hash table, rebuilt when endpoints come or go */
static uint32_t *slots;
static size_t slot_count;

static size_t slot_of(const void *address, size_t length) {
  uint32_t hash = 2166136261u;
  for (size_t i = 0; i < length; i++) hash = (hash ^ ((const uint8_t *)address)[i]) * 16777619u;
  return hash % slot_count;
}

static void index_endpoints(void) {
  static size_t capacity;
  size_t length;
  slots = grown(slots, &capacity, endpoint_count * 3 + 7, sizeof *slots);
  slot_count = endpoint_count * 3 + 7;
  memset(slots, 0, slot_count * sizeof *slots);
  for (size_t i = 0; i < endpoint_count; i++) {
    if (!endpoints[i].used) continue;
    const void *bytes = address_bytes(&endpoints[i].address, &length);
    size_t at = slot_of(bytes, length);
    while (slots[at] != 0) at = (at + 1) % slot_count;
    slots[at] = (uint32_t)i + 1;
  }
}

int64_t endpoint_at(const void *address, size_t length) {
  size_t its;
  if (slot_count == 0) return -1;
  for (size_t at = slot_of(address, length); slots[at] != 0; at = (at + 1) % slot_count) {
    const void *bytes = address_bytes(&endpoints[slots[at] - 1].address, &its);
    if (its == length && memcmp(bytes, address, length) == 0) return slots[at] - 1;
  }
  return -1;
}

void add_endpoint(uint32_t number, unsigned space, const char *text) {
  if (number > 1u << 20) fail("plan endpoint %u", number);
  endpoints = grown(endpoints, &endpoint_capacity, number + 1, sizeof *endpoints);
  if (number >= endpoint_count) endpoint_count = number + 1;
  struct endpoint *it = &endpoints[number];
  if (it->used) fail("plan endpoint %u", number);
  *it = (struct endpoint){.used = true, .space = space, .raw_fd = -1, .sender_fd = -1};
  struct sockaddr_in *v4 = (struct sockaddr_in *)&it->address;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&it->address;
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) v4->sin_family = AF_INET;
  else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) v6->sin6_family = AF_INET6;
  else fail("plan address %s", text);
  if (it->address.ss_family == AF_INET6) await_address(space, &v6->sin6_addr);
  index_endpoints();
}

void remove_endpoint(uint32_t number) {
  if (number >= endpoint_count || !endpoints[number].used) fail("plan endpoint %u", number);
  for (uint32_t i = 0; i < watch_count; i++)
    if (watches[i].used && watches[i].endpoint == number) unwatch(i);
  endpoints[number].used = false;
  index_endpoints();
}

uint32_t watch_fd(enum source source, int fd, uint32_t endpoint, uint16_t port) {
  uint32_t number = 0;
  while (number < watch_count && watches[number].used) number++;
  if (source != UDP_SENDER) number = (uint32_t)watch_count; /* the search is for the short-lived */
  watches = grown(watches, &watch_capacity, number + 1, sizeof *watches);
  if (number >= watch_count) watch_count = number + 1;
  watches[number] = (struct watch){.source = source, .fd = fd, .endpoint = endpoint, .port = port, .used = true};
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll: %s", strerror(errno));
  return number;
}

void unwatch(uint32_t number) {
  close(watches[number].fd);
  watches[number].used = false;
}

bool is_listened(uint16_t port) {
  for (size_t i = 0; i < watch_count; i++)
    if (watches[i].used && watches[i].port == port) return true;
  return false;
}

void listen_on(uint32_t number, enum protocol protocol, uint16_t port) {
  if (number >= endpoint_count || !endpoints[number].used) fail("plan endpoint %u", number);
  struct endpoint *it = &endpoints[number];
  enter_space(it->space);
  if (protocol == SCTP && it->raw_fd >= 0) return;
  struct sockaddr_storage address = with_port(&it->address, protocol == SCTP ? 0 : port);
  const int kind = protocol == TCP ? SOCK_STREAM : protocol == UDP ? SOCK_DGRAM : SOCK_RAW, on = 1;
  int fd = socket(address.ss_family, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol == SCTP ? IPPROTO_SCTP : 0);
  if (fd < 0) fail("listen %u %d: %s", number, protocol, strerror(errno));
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("listen %u %d %u: %s", number, protocol, port, strerror(errno));
  if (protocol == TCP && listen(fd, 4096) != 0) fail("listen %u %d %u: %s", number, protocol, port, strerror(errno));
  if (protocol == SCTP) it->raw_fd = fd;
  watch_fd(protocol == TCP ? TCP_TARGET : protocol == UDP ? UDP_TARGET : SCTP_TARGET, fd, number, protocol == SCTP ? 0 : port);
}
