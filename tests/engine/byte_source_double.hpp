#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "libptsecure/base/error.hpp"
#include "libptsecure/engine/byte_source.hpp"

namespace ptsecure::testing {

// A byte source over plain memory that behaves as the core's does, and counts. Deferred
// destinations are poisoned when they are noted, so that whoever looks at them before finish()
// computes nonsense, and are written by several threads in pieces, last piece first.
class ByteSourceDouble final : public ByteSource {
 public:
  explicit ByteSourceDouble(std::string bytes) : bytes_(std::move(bytes)) {}
  ~ByteSourceDouble() override { pause(); }

  std::uint64_t size() const override { return bytes_.size(); }

  void read(std::uint64_t pos, void* dst, std::size_t n) override {
    if (pos > bytes_.size() || n > bytes_.size() - pos) {
      throw Error(Status::invalid_argument, "read beyond the end");
    }
    if (fail_reads_after-- == 0) throw Error(Status::corrupt, "segment 7 is damaged");
    bytes_read += n;
    std::memcpy(dst, bytes_.data() + pos, n);
  }

  void defer(std::uint64_t pos, void* dst, std::size_t n) override {
    if (pos > bytes_.size() || n > bytes_.size() - pos) {
      throw Error(Status::invalid_argument, "defer beyond the end");
    }
    pause();
    std::memset(dst, 0x7f, n);
    bytes_deferred += n;
    noted_.push_back({pos, static_cast<char*>(dst), n});
  }

  // Writes beside the caller, until paused.
  void begin_deferred() override {
    ++begins;
    pause();
    stopping_ = false;
    ahead_ = std::thread([this] {
      for (const Piece& noted : noted_) {
        for (std::size_t at = 0; at < noted.n && !stopping_; at += kPiece) {
          std::memcpy(noted.dst + at, bytes_.data() + noted.pos + at,
                      std::min(kPiece, noted.n - at));
        }
      }
    });
  }

  void discard_deferred() override {
    pause();
    ++discards;
    noted_.clear();
  }

  void finish() override {
    pause();
    ++finishes;
    if (fail_finish) throw Error(Status::corrupt, "segment 8 is damaged");
    std::vector<Piece> pieces;
    for (const Piece& noted : noted_) {
      for (std::size_t at = 0; at < noted.n; at += kPiece) {
        pieces.push_back({noted.pos + at, noted.dst + at, std::min(kPiece, noted.n - at)});
      }
    }
    std::reverse(pieces.begin(), pieces.end());
    std::atomic<std::size_t> next{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] {
        for (std::size_t p = next++; p < pieces.size(); p = next++) {
          std::memcpy(pieces[p].dst, bytes_.data() + pieces[p].pos, pieces[p].n);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    noted_.clear();
  }

  std::size_t pending() const { return noted_.size(); }

  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_deferred = 0;
  int begins = 0;
  int discards = 0;
  int finishes = 0;
  long fail_reads_after = -1;  // that many reads succeed, the next fails
  bool fail_finish = false;

 private:
  static constexpr std::size_t kPiece = 1 << 20;
  struct Piece {
    std::uint64_t pos;
    char* dst;
    std::size_t n;
  };
  void pause() {
    stopping_ = true;
    if (ahead_.joinable()) ahead_.join();
  }

  std::string bytes_;
  std::vector<Piece> noted_;
  std::atomic<bool> stopping_{false};
  std::thread ahead_;
};

}  // namespace ptsecure::testing
