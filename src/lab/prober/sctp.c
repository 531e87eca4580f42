/* SCTP without the kernel's: an INIT by hand. RFC 9260 3.3.2; its checksum is CRC32c (appendix A), or conntrack calls it invalid. */
#include "prober.h"

#include <string.h>

static uint32_t crc32c(const uint8_t *data, size_t length) {
  static uint32_t table[256];
  if (table[1] == 0)
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; bit++) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82f63b78u : 0);
      table[i] = value;
    }
  uint32_t crc = ~0u;
  for (size_t i = 0; i < length; i++) crc = (crc >> 8) ^ table[(crc ^ data[i]) & 0xff];
  return ~crc;
}

static void put16(uint8_t *at, uint16_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

enum { HEADER = 12, INIT_CHUNK = 20 };

size_t sctp_init(uint8_t *packet, uint16_t from, uint16_t to) {
  memset(packet, 0, HEADER + INIT_CHUNK);
  put16(packet, from);
  put16(packet + 2, to);
  uint8_t *chunk = packet + HEADER;
  chunk[0] = 1; /* INIT */
  put16(chunk + 2, INIT_CHUNK);
  memcpy(chunk + 4, "rkt1", 4);  /* initiate tag: anything but 0 */
  put16(chunk + 10, 0xffff);     /* receiver window: low half */
  put16(chunk + 12, 1);          /* outbound streams */
  put16(chunk + 14, 1);          /* inbound streams */
  memcpy(chunk + 16, "rkt1", 4); /* initial TSN */
  uint32_t crc = crc32c(packet, HEADER + INIT_CHUNK);
  for (int i = 0; i < 4; i++) packet[8 + i] = (uint8_t)(crc >> (8 * i));
  return HEADER + INIT_CHUNK;
}

bool is_sctp_init(const uint8_t *packet, size_t length, uint16_t *from, uint16_t *to) {
  if (length < HEADER + INIT_CHUNK || packet[HEADER] != 1) return false;
  *from = (uint16_t)(packet[0] << 8 | packet[1]);
  *to = (uint16_t)(packet[2] << 8 | packet[3]);
  return true;
}
