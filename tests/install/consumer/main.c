#include <ptsecure/ptsecure.h>
#include <stdio.h>

int main(void) { return puts(pts_version()) < 0; }
