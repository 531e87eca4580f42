/* The sets in which the rules record each new flow: source . destination . protocol . source port . port . rule. */
#define _GNU_SOURCE
#include "prober.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

/* Bits of a recorded rule: see src/policy/compile. */
#define RULE_DENIES 0x80000000u
#define RULE_INGRESS 0x40000000u
/* Only seen on its way, by a rule that decides nothing. */
#define RULE_SEEN 0x20000000u
#define RULE_NUMBER 0x1fffffffu

static char table[64], sets[2][64];

void watch_evidence(const char *name, const char *set4, const char *set6) {
  snprintf(table, sizeof table, "%s", name);
  snprintf(sets[0], sizeof sets[0], "%s", set4);
  snprintf(sets[1], sizeof sets[1], "%s", set6);
}

static size_t put_text(uint8_t *at, uint16_t type, const char *text) {
  struct nlattr attribute = {.nla_len = (uint16_t)(NLA_HDRLEN + strlen(text) + 1), .nla_type = type};
  memcpy(at, &attribute, sizeof attribute);
  memset(at + NLA_HDRLEN, 0, NLA_ALIGN(strlen(text) + 1));
  memcpy(at + NLA_HDRLEN, text, strlen(text));
  return NLA_ALIGN(attribute.nla_len);
}

/* First attribute of `type` within `length` bytes; its payload and length, NULL: none. */
static const uint8_t *find(const uint8_t *at, size_t length, uint16_t type, size_t *found) {
  while (length >= NLA_HDRLEN) {
    struct nlattr attribute;
    memcpy(&attribute, at, sizeof attribute);
    if (attribute.nla_len < NLA_HDRLEN || attribute.nla_len > length) return NULL;
    if ((attribute.nla_type & NLA_TYPE_MASK) == type) {
      *found = attribute.nla_len - (size_t)NLA_HDRLEN;
      return at + NLA_HDRLEN;
    }
    size_t step = NLA_ALIGN(attribute.nla_len);
    if (step >= length) return NULL;
    at += step;
    length -= step;
  }
  return NULL;
}

static void note(const uint8_t *key, size_t length, uint16_t source_port) {
  size_t address = length == 24 ? 4 : 16;
  if (length != 2 * address + 16) return;
  const uint8_t *rest = key + 2 * address;
  if ((rest[4] << 8 | rest[5]) != source_port) return;
  int64_t from = endpoint_at(key, address), to = endpoint_at(key + address, address);
  if (from < 0 || to < 0) return;
  struct probe *probe = find_probe((uint32_t)from, (uint32_t)to, rest[0], (uint16_t)(rest[8] << 8 | rest[9]));
  if (probe == NULL) return;
  uint32_t rule;
  memcpy(&rule, rest + 12, sizeof rule);
  if ((rule & RULE_SEEN) != 0) {
    probe->seen = true;
    return;
  }
  probe->rule[(rule & RULE_INGRESS) != 0] = rule & RULE_NUMBER;
  if ((rule & RULE_DENIES) != 0) probe->denied = true;
}

static void read_set(const char *set, uint16_t source_port) {
  static uint32_t sequence;
  uint8_t request[256] = {0};
  size_t length = NLMSG_HDRLEN + sizeof(struct nfgenmsg);
  request[NLMSG_HDRLEN] = 1; /* NFPROTO_INET */
  length += put_text(request + length, NFTA_SET_ELEM_LIST_TABLE, table);
  length += put_text(request + length, NFTA_SET_ELEM_LIST_SET, set);
  struct nlmsghdr header = {.nlmsg_len = (uint32_t)length,
                            .nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETSETELEM,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                            .nlmsg_seq = ++sequence};
  memcpy(request, &header, sizeof header);
  int fd = netlink_of(0, NETLINK_NETFILTER);
  if (send(fd, request, length, 0) < 0) fail("evidence: %s", strerror(errno));
  static char answer[1 << 16];
  for (;;) {
    ssize_t got = recv(fd, answer, sizeof answer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("evidence: %s", strerror(errno));
    for (const struct nlmsghdr *message = (void *)answer; NLMSG_OK(message, (size_t)got); message = NLMSG_NEXT(message, got)) {
      if (message->nlmsg_seq != sequence) continue;
      if (message->nlmsg_type == NLMSG_DONE) return;
      if (message->nlmsg_type == NLMSG_ERROR) fail("evidence %s: %s", set, strerror(-((struct nlmsgerr *)NLMSG_DATA(message))->error));
      size_t size = message->nlmsg_len - NLMSG_HDRLEN - NLMSG_ALIGN(sizeof(struct nfgenmsg)), element_size, key_size, value_size;
      const uint8_t *list = find((const uint8_t *)NLMSG_DATA(message) + sizeof(struct nfgenmsg), size, NFTA_SET_ELEM_LIST_ELEMENTS, &size);
      for (const uint8_t *end = list + (list == NULL ? 0 : size); list != NULL && list < end;) {
        const uint8_t *element = find(list, (size_t)(end - list), NFTA_LIST_ELEM, &element_size);
        if (element == NULL) break;
        const uint8_t *key = find(element, element_size, NFTA_SET_ELEM_KEY, &key_size);
        const uint8_t *value = key == NULL ? NULL : find(key, key_size, NFTA_DATA_VALUE, &value_size);
        if (value != NULL) note(value, value_size, source_port);
        list = element + NLA_ALIGN(element_size);
      }
    }
  }
}

void read_evidence(uint16_t port, bool ipv4, bool ipv6) {
  if (table[0] == '\0') return;
  if (ipv4) read_set(sets[0], port);
  if (ipv6) read_set(sets[1], port);
}
