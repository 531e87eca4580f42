/* The operations of a release that talk to nf_tables and conntrack. Messages come ready from the file; what is made here is
 * what depends on the moment: which elements still are the pod's, in which generation of the ruleset. The kernel works
 * through a message inside send(2), so each answer is there when send returns. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "release.h"

enum { HEADERS = sizeof(struct nlmsghdr) + sizeof(struct nfgenmsg), GENERATION_TRIES = 100, MAX_TUPLE = 512 };
#ifndef ERESTART
#define ERESTART 85
#endif

static _Alignas(8) unsigned char inbox[1 << 16];

/* A message with nothing but its headers, plus `room` bytes. */
struct small_message {
  struct nlmsghdr header;
  struct nfgenmsg family;
  unsigned char attributes[8];
};

static struct small_message small_message(uint16_t type, uint16_t resource, size_t room) {
  return (struct small_message){
      .header = {.nlmsg_len = (uint32_t)(HEADERS + room), .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST},
      .family = {.res_id = htons(resource)},
  };
}

/* Whole netlink messages have their own length in front. */
static bool is_message(struct span bytes) {
  uint32_t length;
  if (bytes.end - bytes.at < HEADERS) return false;
  memcpy(&length, bytes.at, sizeof length);
  return length == (size_t)(bytes.end - bytes.at) && length % NLMSG_ALIGNTO == 0;
}

/* The sockets stay open until we end: closing one after something was removed waits for the kernel's destroy worker (some
 * 20 ms). Two, because deletions of flows go out while a dump comes in. */
enum { ASKING, REMOVING, SOCKETS };

static int socket_for(int purpose) {
  static int open_ones[SOCKETS] = {-1, -1};
  int *fd = &open_ones[purpose], capped = 1;
  if (*fd >= 0) return *fd;
  *fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  /* Nothing waits for long; if an answer never comes, gc does the work. */
  setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 1}, sizeof(struct timeval));
  setsockopt(*fd, SOL_NETLINK, NETLINK_CAP_ACK, &capped, sizeof capped);
  return *fd;
}

static bool transmit(int fd, const void *bytes, size_t length) { return send(fd, bytes, length, 0) == (ssize_t)length; }

/* The data of attribute `type` among `attributes`. */
static bool find_attribute(struct span attributes, unsigned type, struct span *data) {
  while (attributes.end - attributes.at >= (ptrdiff_t)sizeof(struct nlattr)) {
    struct nlattr attribute;
    memcpy(&attribute, attributes.at, sizeof attribute);
    if (attribute.nla_len < sizeof attribute || attribute.nla_len > attributes.end - attributes.at) return false;
    *data = (struct span){attributes.at + sizeof attribute, attributes.at + attribute.nla_len};
    if ((attribute.nla_type & NLA_TYPE_MASK) == type) return true;
    size_t step = NLA_ALIGN((size_t)attribute.nla_len);
    if (step >= (size_t)(attributes.end - attributes.at)) return false;
    attributes.at += step;
  }
  return false;
}

/* The next message of what was received. */
static bool take_message(struct span *in, struct nlmsghdr *header, struct span *body) {
  if (in->end - in->at < (ptrdiff_t)sizeof *header) return false;
  memcpy(header, in->at, sizeof *header);
  if (header->nlmsg_len < sizeof *header || header->nlmsg_len > in->end - in->at) return false;
  *body = (struct span){in->at + sizeof *header, in->at + header->nlmsg_len};
  size_t step = NLMSG_ALIGN((size_t)header->nlmsg_len);
  in->at = step > (size_t)(in->end - in->at) ? in->end : in->at + step;
  return true;
}

static bool hear(int fd, int flags, struct span *heard) {
  ssize_t got = recv(fd, inbox, sizeof inbox, flags);
  if (got <= 0) return false;
  *heard = (struct span){inbox, inbox + got};
  return true;
}

/* The first error in all that is waiting on `fd`; 0: none. */
static int first_error(int fd) {
  int error = 0;
  struct span heard, body;
  struct nlmsghdr header;
  while (hear(fd, MSG_DONTWAIT, &heard)) {
    while (take_message(&heard, &header, &body)) {
      int code;
      if (header.nlmsg_type != NLMSG_ERROR || body.end - body.at < (ptrdiff_t)sizeof code) continue;
      memcpy(&code, body.at, sizeof code);
      if (error == 0) error = -code;
    }
  }
  return error;
}

/* ---- nf_tables ---------------------------------------------------------------------------------- */

/* The number of the ruleset's last change, in network order. */
static bool read_generation(int fd, uint32_t *generation) {
  struct small_message request = small_message(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, 0, 0);
  struct span heard, body, data;
  struct nlmsghdr header;
  if (!transmit(fd, &request, HEADERS) || !hear(fd, 0, &heard) || !take_message(&heard, &header, &body)) return false;
  if (header.nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN) || body.end - body.at < (ptrdiff_t)sizeof(struct nfgenmsg)) return false;
  body.at += sizeof(struct nfgenmsg);
  if (!find_attribute(body, NFTA_GEN_ID, &data) || data.end - data.at != sizeof *generation) return false;
  memcpy(generation, data.at, sizeof *generation);
  return true;
}

/* Whether the element that `question` asks for is there with this comment. */
static bool is_ours(int fd, struct span question, struct span comment) {
  struct span heard, body;
  struct nlmsghdr header;
  if (!transmit(fd, question.at, (size_t)(question.end - question.at)) || !hear(fd, 0, &heard)) return false;
  if (!take_message(&heard, &header, &body) || header.nlmsg_type == NLMSG_ERROR) return false;
  return memmem(body.at, (size_t)(body.end - body.at), comment.at, (size_t)(comment.end - comment.at)) != NULL;
}

static size_t append(unsigned char *batch, size_t length, const void *bytes, size_t size) {
  memcpy(batch + length, bytes, size);
  return length + size;
}

/* One try: reads which elements are ours and removes those, if the ruleset has not changed in between (else ERESTART). */
static int remove_ours(int fd, struct span comment, struct span pairs, unsigned char *batch) {
  struct small_message begin = small_message(NFNL_MSG_BATCH_BEGIN, NFNL_SUBSYS_NFTABLES, 8);
  struct small_message end = small_message(NFNL_MSG_BATCH_END, NFNL_SUBSYS_NFTABLES, 0);
  struct nlattr attribute = {.nla_len = 8, .nla_type = NFNL_BATCH_GENID};
  struct span question, removal;
  uint32_t generation;
  size_t length = 0, last = 0;
  if (!read_generation(fd, &generation)) return EIO;
  memcpy(begin.attributes, &attribute, sizeof attribute);
  memcpy(begin.attributes + sizeof attribute, &generation, sizeof generation);
  length = append(batch, length, &begin, begin.header.nlmsg_len);
  while (take_bytes(&pairs, &question) && take_bytes(&pairs, &removal)) {
    if (!is_ours(fd, question, comment)) continue;
    last = length;
    length = append(batch, length, removal.at, (size_t)(removal.end - removal.at));
  }
  if (last == 0) return 0;
  length = append(batch, length, &end, HEADERS);
  return transmit(fd, batch, length) ? first_error(fd) : errno;
}

bool remove_elements(struct span in, bool dry) {
  struct span comment, question, removal;
  if (!take_bytes(&in, &comment) || comment.at == comment.end) return false;
  for (struct span rest = in; rest.at < rest.end;)
    if (!take_bytes(&rest, &question) || !is_message(question) || !take_bytes(&rest, &removal) || !is_message(removal)) return false;
  if (dry) return true;
  int fd = socket_for(ASKING);
  size_t room = (size_t)(in.end - in.at) + 2 * sizeof(struct small_message);
  unsigned char *batch = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (batch == MAP_FAILED) return true;
  for (int tries = 0; tries < GENERATION_TRIES && remove_ours(fd, comment, in, batch) == ERESTART; tries++) continue;
  munmap(batch, room);
  return true;
}

/* ---- conntrack ---------------------------------------------------------------------------------- */

static void forget_flow(int fd, unsigned char family, struct span tuple) {
  unsigned char message[HEADERS + sizeof(struct nlattr) + MAX_TUPLE];
  size_t size = (size_t)(tuple.end - tuple.at);
  if (size > MAX_TUPLE) return;
  struct nlattr attribute = {.nla_len = (uint16_t)(sizeof attribute + size), .nla_type = CTA_TUPLE_ORIG | NLA_F_NESTED};
  struct small_message head = small_message(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, 0, sizeof attribute + size);
  head.family.nfgen_family = family;
  size_t length = append(message, 0, &head, HEADERS);
  length = append(message, length, &attribute, sizeof attribute);
  length = append(message, length, tuple.at, size);
  if (transmit(fd, message, length)) first_error(fd);
}

bool forget_flows(struct span in, bool dry) {
  struct span dump, heard, body, tuple;
  struct nlmsghdr header;
  if (!take_bytes(&in, &dump) || !is_message(dump) || in.at != in.end) return false;
  if (dry) return true;
  unsigned char family = dump.at[sizeof(struct nlmsghdr)];
  /* What is heard is copied before the inbox is used again. */
  static unsigned char listed[sizeof inbox];
  int in_fd = socket_for(ASKING), out_fd = socket_for(REMOVING);
  bool more = transmit(in_fd, dump.at, (size_t)(dump.end - dump.at));
  while (more && hear(in_fd, 0, &heard)) {
    size_t got = (size_t)(heard.end - heard.at);
    memcpy(listed, heard.at, got);
    struct span rest = {listed, listed + got};
    while (more && take_message(&rest, &header, &body)) {
      if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) more = false;
      else if (body.end - body.at > (ptrdiff_t)sizeof(struct nfgenmsg)) {
        body.at += sizeof(struct nfgenmsg);
        if (find_attribute(body, CTA_TUPLE_ORIG, &tuple)) forget_flow(out_fd, family, tuple);
      }
    }
  }
  return true;
}
