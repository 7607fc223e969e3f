/* Run right before a clock starts: touches so much memory and gives it back.
 *
 *   bench_touch MIB
 *
 * A virtual machine whose free pages go back to its host (free page reporting, balloons) pays the
 * host for each page it touches again, ten times what the kernel takes to clear it, and whoever
 * runs after a pause pays most. Half of it is touched in small pages, half in huge ones, as those
 * that are measured do. */
#define _GNU_SOURCE  // madvise
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

static int touch(size_t size, int advice) {
  char* memory =
      mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return 1;
  madvise(memory, size, advice);
  for (size_t at = 0; at < size; at += 4096) memory[at] = 1;
  return 0;
}

int main(int argc, char** argv) {
  const size_t half = argc == 2 ? (size_t)strtoul(argv[1], NULL, 10) << 19 : 0;
  if (half == 0) return 2;
  return touch(half, MADV_NOHUGEPAGE) + touch(half, MADV_HUGEPAGE);
}
