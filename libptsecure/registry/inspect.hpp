#pragma once

#include "libptsecure/package/manifest.hpp"
#include "libptsecure/package/payload.hpp"
#include "libptsecure/registry/registry.hpp"

namespace ptsecure {

// Loads a TorchScript model that is about to be published and fills the manifest's engine, inputs,
// outputs and stateful. Without a sample the weights are never read and datatypes and shapes stay
// unknown; with one the model is run on it.
void inspect_model(PlainInput& input, const PublishOptions& options, ThreadPool& pool,
                   Manifest& manifest);

}  // namespace ptsecure
