// Opens the torch engine from wherever this program lies and prints what comes of it: the engine's
// version, or the status and the message. Its argument is the torch folder asked for.
#include <iostream>

#include "libptsecure/engine/loader.hpp"

int main(int argc, char** argv) {
  try {
    std::cout << ptsecure::torch_engine(argc > 1 ? argv[1] : "").version() << '\n';
    return 0;
  } catch (const ptsecure::Error& error) {
    std::cout << ptsecure::status_name(error.status()) << ": " << error.what() << '\n';
    return 1;
  }
}
