/* Preloaded while the benchmark makes stores of thousands of versions, which nobody needs to find
 * again after a crash. Nothing is measured with it. */
#include <fcntl.h>

int fsync(int fd) {
  (void)fd;
  return 0;
}
int fdatasync(int fd) {
  (void)fd;
  return 0;
}
