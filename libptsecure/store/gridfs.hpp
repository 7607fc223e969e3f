#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "libptsecure/base/cancel.hpp"
#include "libptsecure/store/store.hpp"

namespace ptsecure {

// A file in somebody's GridFS, by its name or its id, one of which is given.
struct GridfsName {
  std::string uri;  // mongodb:// or mongodb+srv://, with the database
  std::string bucket = "fs";
  std::string filename;  // the newest of that name
  std::string id;        // 24 hex digits: an ObjectId or that text; else the text
};

// Reads such a file and changes nothing there. Its length and chunk size are taken from the files
// collection; every chunk is checked for its number and its length (Status::corrupt), and nothing
// else: what the bytes are worth is for the caller to find out. Not thread-safe.
class GridfsFile {
 public:
  virtual ~GridfsFile() = default;
  virtual std::uint64_t size() const = 0;
  // Fills dst with bytes [pos, pos + n), which are in the file. Holds about 2 MiB, or one chunk
  // where that is more; reading on from there asks the server for what follows.
  virtual void read(std::uint64_t pos, void* dst, std::size_t n) = 0;
};

// Throws Status::not_found when there is none. `cancel` also ends later reads.
std::unique_ptr<GridfsFile> open_gridfs_file(const GridfsName& name, const StoreOptions& options,
                                             const CancelToken& cancel);

}  // namespace ptsecure
