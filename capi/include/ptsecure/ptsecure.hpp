// SPDX-License-Identifier: Apache-2.0
//
// C++17 over ptsecure.h: classes that own their handles, exceptions instead of statuses.
// Header-only; nothing but the C ABI crosses the library's edge, so any compiler and standard
// library will do. What each call means, costs and can fail with stands in ptsecure.h.
//
// Classes are movable, not copyable; a moved-from object may only be destroyed or assigned to. They
// may be used from many threads as their handles may. An exception thrown by a callback ends the
// call and comes out of it.
#ifndef PTSECURE_PTSECURE_HPP_
#define PTSECURE_PTSECURE_HPP_

#include "ptsecure/cpp/apikey.hpp"
#include "ptsecure/cpp/error.hpp"
#include "ptsecure/cpp/keyring.hpp"
#include "ptsecure/cpp/library.hpp"
#include "ptsecure/cpp/model.hpp"
#include "ptsecure/cpp/source.hpp"
#include "ptsecure/cpp/store.hpp"
#include "ptsecure/cpp/tensor.hpp"
#include "ptsecure/cpp/value.hpp"

#endif  // PTSECURE_PTSECURE_HPP_
