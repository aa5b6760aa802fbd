// Makes a value of what nlohmann's parser reads, in the words that the two readers of JSON share.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace fnet {

template <class Value>
class JsonBuilder : public nlohmann::json_sax<Value> {
 public:
  Value made;
  std::string fault;  // why the parser was stopped

  // Refuses what is nested deeper than `deepest`, in the words `too_deep`.
  JsonBuilder(std::size_t deepest, const char* too_deep) : deepest_(deepest), too_deep_(too_deep) {}

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(typename Value::number_integer_t value) override { return put(value); }
  bool number_unsigned(typename Value::number_unsigned_t value) override { return put(value); }
  bool number_float(typename Value::number_float_t value, const std::string&) override { return put(value); }
  bool string(std::string& value) override { return put(std::move(value)); }
  bool binary(typename Value::binary_t&) override { return fail("binary value"); }
  bool key(std::string& value) override {
    key_ = std::move(value);
    return true;
  }
  bool start_object(std::size_t) override { return open(Value::object()); }
  bool start_array(std::size_t) override { return open(Value::array()); }
  bool end_object() override {
    if (!check(open_.back()->template get_ref<Object&>())) return false;
    return end_array();
  }
  bool end_array() override {
    open_.pop_back();
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    return fail("syntax error at byte " + std::to_string(position));  // nlohmann's own words can hold half a character
  }

 protected:
  using Object = typename Value::object_t;

  // Puts a value into an object. Returns where it is now.
  virtual Value* add(Object& object, std::string key, Value&& value) = 0;
  // Looks at an object that is whole; false refuses it.
  virtual bool check(const Object&) { return true; }

  bool fail(const std::string& text) {
    fault = text;
    return false;
  }
  bool put(Value value) {
    place(std::move(value));
    return true;
  }

 private:
  Value* place(Value&& value) {
    if (open_.empty()) return &(made = std::move(value));
    if (open_.back()->is_array()) return &open_.back()->emplace_back(std::move(value));
    return add(open_.back()->template get_ref<Object&>(), std::move(key_), std::move(value));
  }
  bool open(Value&& value) {
    if (open_.size() == deepest_) return fail(too_deep_);
    open_.push_back(place(std::move(value)));
    return true;
  }

  std::size_t deepest_;
  const char* too_deep_;
  std::vector<Value*> open_;
  std::string key_;
};

}  // namespace fnet
