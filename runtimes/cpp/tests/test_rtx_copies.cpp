// A process has one copy of TensorRT-RTX: its own library, or the plugin's.
#include "catch.h"
#include "engine/rtx_copies.h"

namespace {

using fnet::Result, fnet::RtxCopies, fnet::RtxCopy;

int opened = 0;
Result<void*> open() { return ++opened, static_cast<void*>(&opened); }
Result<void*> missing() { return fnet::session_error("no such library"); }

}  // namespace

TEST_CASE("the copy of TensorRT-RTX that is opened second is refused") {
  for (const RtxCopy first : {RtxCopy::library, RtxCopy::plugin}) {
    const RtxCopy second = first == RtxCopy::library ? RtxCopy::plugin : RtxCopy::library;
    RtxCopies copies;
    opened = 0;
    CHECK(copies.opened(second, missing).error().text == "no such library");  // and is not in the process
    CHECK(static_cast<bool>(copies.opened(first, open)));
    CHECK(static_cast<bool>(copies.opened(first, open)));
    const auto refused = copies.opened(second, open);
    CHECK(!refused);
    CHECK(refused.error().code == fnet::Code::session);
    CHECK(refused.error().text.find("TensorRT-RTX of its own") != std::string::npos);
    CHECK(refused.error().text.find("in another process") != std::string::npos);
    CHECK(opened == 2);
  }
}
