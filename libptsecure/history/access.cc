#include "libptsecure/history/access.hpp"

namespace ptsecure {

void ensure_created(const Access& access) {
  if (access.memory != nullptr) {
    try {
      access.memory->check_place(access.store.id(access.cancel));
    } catch (const Error& error) {
      if (error.status() != Status::not_found) throw;
      access.memory->check_no_store();
    }
  }
  access.store.ensure_created(access.cancel);
}

}  // namespace ptsecure
