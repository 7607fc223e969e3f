#include <cstdio>
#include <ptsecure/ptsecure.hpp>

int main() { return std::puts(pts_version()) < 0; }
