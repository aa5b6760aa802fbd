// ONNX Runtime's providers of a GPU: how one is given to a session, and the nodes that it does not take.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "base/facts.h"
#include "engine/onnxruntime_library.h"

namespace fnet {

// Adds a provider to the options of a session. A plugin is registered first. A session error where ONNX Runtime or this host lacks the
// provider's library, a no-device error where there is no GPU, an input error for a device that it has not.
std::optional<Error> provider_fault(const OrtLibrary& library, OrtSessionOptions* options, const ProviderFacts& provider,
                                    const std::string& precision, int device);

// Whether ONNX Runtime can list the nodes of an opened graph.
bool lists_nodes(const OrtLibrary& library);

// Says which nodes of an opened graph a provider did not take; empty if it took all. The session was made with the entry RECORD.
std::string nodes_not_taken(const OrtLibrary& library, const OrtSession* session, const ProviderFacts& provider);

}  // namespace fnet
