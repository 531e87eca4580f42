/* Memory of a process that does nothing for days. */
#define _GNU_SOURCE
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "supervisor.h"

/* First byte of the program (ld). */
extern const char __executable_start[];

void forget_code(void) {
  const ElfW(Phdr) *segment = (const ElfW(Phdr) *)getauxval(AT_PHDR), *end = segment + getauxval(AT_PHNUM);
  ElfW(Addr) base = (ElfW(Addr))__executable_start;
  for (const ElfW(Phdr) *at = segment; at < end; at++)
    if (at->p_type == PT_LOAD && at->p_offset == 0) base -= at->p_vaddr;
  for (; segment < end; segment++) {
    /* Never one that was written to: its pages would come back as they are in the file. */
    if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W) != 0) continue;
    ElfW(Addr) start = (base + segment->p_vaddr) & ~(ElfW(Addr))4095;
    madvise((void *)start, base + segment->p_vaddr + segment->p_memsz - start, MADV_DONTNEED);
  }
}
