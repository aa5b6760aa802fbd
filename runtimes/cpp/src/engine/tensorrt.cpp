#include "engine/tensorrt.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <new>

#include "base/facts.h"
#include "base/files.h"
#include "base/words.h"
#include "engine/lane.h"

namespace fnet {
namespace {

class TrtSession : public Session {
 public:
  TrtSession(std::shared_ptr<const Cuda> cuda, std::unique_ptr<TrtEngine> engine, const EngineInfo& info, std::vector<TensorInfo> inputs,
             std::vector<std::string> outputs, const TrtOptions& options)
      : cuda_(std::move(cuda)),
        engine_(std::move(engine)),
        info_(info),
        inputs_(std::move(inputs)),
        outputs_(std::move(outputs)),
        options_(options),
        most_(options.contexts) {}
  // The lanes free on the GPU of the session. Then the GPU of the thread is the current one again.
  ~TrtSession() override {
    const auto current = cuda_->current();
    cuda_->use(options_.device);
    idle_.clear();
    engine_.reset();
    if (current) cuda_->use(*current);
  }

  AxisProfile batch() const override { return info_.whole_range(BATCH).value_or(ANY_BATCH); }

  std::optional<Error> open() {
    auto lane = opened_lane();
    if (!lane) return lane.error();
    idle_.reserve(static_cast<std::size_t>(most_));
    idle_.push_back(*std::move(lane)), made_ = 1;
    return std::nullopt;
  }

  Result<Outputs> run(const Inputs& inputs) const override {
    if (auto fault = inputs_fault(inputs, inputs_)) return *fault;
    const auto profile = profile_of_shapes(inputs);
    if (!profile) return profile.error();
    if (auto fault = cuda_->use(options_.device)) return *fault;
    const Lease lease(*this);
    return lease.lane->run(inputs, *profile);
  }

 private:
  struct Lease {
    explicit Lease(const TrtSession& from) : session(from), lane(from.taken()) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { session.give_back(std::move(lane)); }
    const TrtSession& session;
    mutable std::unique_ptr<Lane> lane;
  };

  // The number of the first optimisation profile that holds the shapes.
  Result<int> profile_of_shapes(const Inputs& inputs) const {
    Named<int64_t> lengths;
    for (const TensorInfo& tensor : inputs_) {
      for (std::size_t i = 0; i < tensor.axes.size(); ++i) {
        const auto* axis = std::get_if<std::string>(&tensor.axes[i]);
        if (axis && !length_of(lengths, *axis)) lengths.emplace_back(*axis, static_cast<int64_t>(inputs.at(tensor.name).shape[i]));
      }
    }
    std::vector<std::string> ranges, found;
    for (std::size_t number = 0; number < info_.profiles.size(); ++number) {
      bool fits = true;
      std::vector<std::string> range;
      for (const auto& [axis, profile] : info_.profiles[number]) {
        const auto length = length_of(lengths, axis);
        fits = fits && length && profile.min <= *length && *length <= profile.max;
        range.push_back(axis + " " + std::to_string(profile.min) + " to " + std::to_string(profile.max));
      }
      if (fits) return static_cast<int>(number);
      ranges.push_back(joined(range));
    }
    for (const auto& [axis, length] : lengths) found.push_back(axis + " " + std::to_string(length));
    return input_error("expected what the engine was built for: " + joined(ranges, " or ") + "; found " + joined(found) +
                       ". Open the bundle with the runtime onnxruntime, or export it with another --batch-profile or --length-profile");
  }

  static std::optional<int64_t> length_of(const Named<int64_t>& lengths, const std::string& axis) {
    for (const auto& [name, length] : lengths) {
      if (name == axis) return length;
    }
    return std::nullopt;
  }

  Result<std::unique_ptr<Lane>> opened_lane() const {
    try {
      auto lane = std::make_unique<Lane>(*cuda_, *engine_, outputs_, options_.cuda_graph);
      if (auto fault = lane->open()) return *fault;
      return lane;
    } catch (const std::bad_alloc&) {
      return session_error("out of memory");
    }
  }

  // An idle lane, or a new one, or, where there may be no more of them, the next that is given back.
  std::unique_ptr<Lane> taken() const {
    std::unique_lock<std::mutex> lock(mutex_);
    if (idle_.empty() && made_ < most_) {
      ++made_;
      lock.unlock();  // it can take seconds
      if (auto lane = opened_lane()) return *std::move(lane);
      lock.lock();
      most_ = --made_;  // a GPU without room for one more makes do with these
    }
    given_back_.wait(lock, [this] { return !idle_.empty(); });
    auto lane = std::move(idle_.back());
    idle_.pop_back();
    return lane;
  }

  void give_back(std::unique_ptr<Lane> lane) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.push_back(std::move(lane));
    given_back_.notify_one();
  }

  const std::shared_ptr<const Cuda> cuda_;
  std::unique_ptr<TrtEngine> engine_;
  const EngineInfo info_;
  const std::vector<TensorInfo> inputs_;
  const std::vector<std::string> outputs_;
  const TrtOptions options_;
  mutable std::mutex mutex_;
  mutable std::condition_variable given_back_;
  mutable std::vector<std::unique_ptr<Lane>> idle_;
  mutable int made_ = 0, most_;
};

// The engine's inputs as a manifest has them: an open axis has the name that the manifest gives it.
std::vector<TensorInfo> inputs_from_engine(const std::vector<EngineTensor>& tensors, const std::vector<TensorInfo>& expected) {
  std::vector<TensorInfo> found;
  for (const EngineTensor& tensor : tensors) {
    if (tensor.output) continue;
    const auto same = std::find_if(expected.begin(), expected.end(), [&](const TensorInfo& e) { return e.name == tensor.name; });
    TensorInfo& input = found.emplace_back(TensorInfo{tensor.name, tensor.dtype, {}});
    for (std::size_t i = 0; i < tensor.axes.size(); ++i) {
      const bool named = tensor.axes[i] < 0 && same != expected.end() && i < same->axes.size() && same->axes[i].index() == 1;
      input.axes.push_back(named ? same->axes[i] : Axis(tensor.axes[i]));
    }
  }
  return found;
}

}  // namespace

Result<std::unique_ptr<Session>> trt_session(const std::string& engine, const EngineInfo& info, const std::vector<TensorInfo>& inputs,
                                             const TrtOptions& options, const TrtHost& host) {
  const TrtLibrary& product = host.library;
  if (const auto fault = fit_fault(engine, info, host.gpu, product.version)) return *fault;
  const auto bytes = bytes_from_file(engine);
  if (const auto* fault = std::get_if<SystemFault>(&bytes)) return session_error(engine + ": cannot be read (" + fault->text() + ")");
  auto opened = product.engine_from_bytes(std::get<std::string>(bytes), info.build && info.build->version_compatible);
  if (!opened) {
    return session_error(engine + ": " + info.library + " " + product.version + " cannot open it (built with " + info.version +
                         "): " + opened.error().text);
  }
  const auto tensors = (*opened)->tensors();
  if (const auto fault = graph_fault(engine, inputs_from_engine(tensors, inputs), inputs)) return *fault;
  std::vector<std::string> outputs;
  for (const EngineTensor& tensor : tensors) {
    if (tensor.output && tensor.dtype != "float32")
      return session_error(engine + ": the output " + tensor.name + " is " + tensor.dtype + ", expected float32");
    if (tensor.output) outputs.push_back(tensor.name);
  }
  auto session = std::make_unique<TrtSession>(host.cuda, *std::move(opened), info, inputs, std::move(outputs), options);
  if (const auto fault = session->open()) return Error{fault->code, engine + ": " + fault->text};
  return std::unique_ptr<Session>(std::move(session));
}

}  // namespace fnet
