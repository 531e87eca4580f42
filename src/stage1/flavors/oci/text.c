/* Text in fixed buffers. */
#define _GNU_SOURCE /* strerrordesc_np */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "supervisor.h"

struct text text_in(char *buffer, size_t size) {
  buffer[0] = '\0';
  return (struct text){.at = buffer, .end = buffer + size - 1, .overflow = false};
}

void put(struct text *text, const char *string) {
  size_t length = strlen(string), room = (size_t)(text->end - text->at);
  if (length > room) {
    length = room;
    text->overflow = true;
  }
  memcpy(text->at, string, length);
  text->at += length;
  *text->at = '\0';
}

void put_number(struct text *text, long long number) {
  char digits[24], *at = digits + sizeof digits - 1;
  unsigned long long rest = number < 0 ? 0ULL - (unsigned long long)number : (unsigned long long)number;
  *at = '\0';
  do *--at = (char)('0' + rest % 10);
  while ((rest /= 10) != 0);
  if (number < 0) *--at = '-';
  put(text, at);
}

bool join(char *buffer, size_t size, const char *const *parts) {
  struct text text = text_in(buffer, size);
  for (; *parts != NULL; parts++) put(&text, *parts);
  return !text.overflow;
}

void say(const char *const *parts, int error) {
  char line[512];
  struct text text = text_in(line, sizeof line - 1);
  put(&text, "rkt: ");
  for (; *parts != NULL; parts++) put(&text, *parts);
  if (error != 0) {
    const char *name = strerrordesc_np(error);
    put(&text, ": ");
    put(&text, name == NULL ? "unknown error" : name);
  }
  *text.at++ = '\n';
  /* Nobody is left to tell when stderr itself fails. */
  ssize_t written = write(2, line, (size_t)(text.at - line));
  (void)written;
}

long parse_number(const char *text) {
  long value = 0;
  if (*text == '\0') return -1;
  for (; *text != '\0'; text++) {
    if (*text < '0' || *text > '9' || value > 100000000) return -1;
    value = value * 10 + (*text - '0');
  }
  return value;
}
