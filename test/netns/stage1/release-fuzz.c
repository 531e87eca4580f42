/* Damages a release file in many ways and reads it: argv[1] is the seed file, argv[2] how often. Every copy is as long as its
 * allocation, so that the sanitizer sees each byte that is read too many. Prints how many were still whole. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "release.h"

static unsigned long long state = 88172645463325252ULL;
static unsigned long long next(unsigned long long below) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state % below;
}

int main(int argc, char **argv) {
  static unsigned char seed[1 << 16];
  static const unsigned interesting[] = {0, 1, 2, 4, 0x7f, 0xff, 0x100, 0xffff, 0x7fffffff, 0xffffffff, 0xfffffffc};
  int fd = argc == 3 ? open(argv[1], O_RDONLY) : -1;
  ssize_t size = read(fd, seed, sizeof seed);
  if (size < 16) return 2;
  long whole = 0;
  for (long round = atol(argv[2]); round > 0; round--) {
    size_t length = next(4) == 0 ? next((unsigned long long)size + 1) : (size_t)size;
    unsigned char *copy = malloc(length == 0 ? 1 : length);
    memcpy(copy, seed, length);
    for (unsigned long long changes = next(6); changes > 0 && length > 12; changes--) {
      size_t at = 8 + next(length - 12);
      if (next(2) == 0) copy[at] = (unsigned char)next(256);
      else memcpy(copy + at, &interesting[next(sizeof interesting / sizeof *interesting)], 4);
    }
    if (release_all((struct span){copy, copy + length}, true)) whole++;
    free(copy);
  }
  printf("%ld\n", whole);
  return 0;
}
