// Joins the pieces of a text again.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace fnet {

struct MetaspaceDecoder {
  std::string replacement;  // a space; of the first piece it goes
  bool prepended;
};
struct ReplaceDecoder {
  std::string pattern, content;
};
struct ByteFallbackDecoder {};
struct FuseDecoder {};

using DecoderStep = std::variant<MetaspaceDecoder, ReplaceDecoder, ByteFallbackDecoder, FuseDecoder>;

class TokenDecoder {
 public:
  // `between` stands between the pieces in the end.
  explicit TokenDecoder(std::vector<DecoderStep> steps = {}, std::string between = {})
      : steps_(std::move(steps)), between_(std::move(between)) {}
  std::string text(std::vector<std::string> pieces) const;

 private:
  std::vector<DecoderStep> steps_;
  std::string between_;
};

}  // namespace fnet
