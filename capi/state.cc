#include <string>

#include "capi/guard.hpp"
#include "libptsecure/history/state_file.hpp"
#include "ptsecure/ptsecure.h"

using namespace ptsecure::capi;
using ptsecure::StateFile;

pts_status pts_state_default_path(char** out, pts_error* error) {
  return create(out, error, [] { return new_text(StateFile::default_path()); });
}

pts_status pts_state_show(const char* path, char** out, pts_error* error) {
  return create(out, error,
                [&] { return new_text(StateFile(need_text(path, "path")).read()->to_json()); });
}

pts_status pts_state_reset(const char* path, const char* store, pts_error* error) {
  return guard(error, [&] {
    const StateFile file(need_text(path, "path"));
    if (store == nullptr) {
      file.clear();
    } else {
      file.forget(store);
    }
  });
}
