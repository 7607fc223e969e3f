#pragma once

#include "libptsecure/package/manifest.hpp"
#include "libptsecure/package/payload.hpp"
#include "libptsecure/registry/registry.hpp"

namespace ptsecure {

// Loads a model that is about to be published and fills the manifest's format (when it is empty),
// engine, inputs, outputs and stateful. Without a sample the weights are never read and datatypes
// and shapes stay unknown, those of compiled models excepted, which say them themselves; with one
// the model is run on it.
//
// `weights`, when not null, are used instead of those beside the program, and refused unless they
// fit it.
void inspect_model(ByteSource& source, ByteSource* weights, const PublishOptions& options,
                   Manifest& manifest);

}  // namespace ptsecure
