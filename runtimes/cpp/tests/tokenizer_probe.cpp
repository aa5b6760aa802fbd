// What a tokenizer.json makes of texts: tests/deep/cpp/test_cpp_tokenizers.py compares it with Python.
//
// Usage: tokenizer_probe TOKENIZER_JSON FLAVOUR < requests. A request is a JSON line: a text, answered by [[id, begin, end], ...];
// or a list of ids, answered by [text, [piece, ...]]. The answer's first line is {"vocab_size", "special"}, or {"error"} alone.
// With --seconds N TEXTS after them, it cuts the lines of a file N times and writes the seconds that took. With --numbers alone, it
// answers a number by the float64 that a tokenizer.json's reader makes of it, in hexadecimal.
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/utf8.h"
#include "json/serde.h"
#include "tokenizer/backend.h"

using nlohmann::json;

namespace {

std::u32string decoded(const std::string& text) { return fnet::from_utf8(text); }

json answer(const fnet::Backend& backend, const json& request) {
  json made = json::array();
  if (request.is_string()) {
    auto tokens = backend.tokens(decoded(request));
    for (const fnet::Token& token : *tokens) made.push_back({token.id, token.begin, token.end});
    return made;
  }
  for (int id : request) made.push_back(backend.piece(id));
  return {backend.decode(request), made};
}

double seconds(const fnet::Backend& backend, const char* path, int times) {
  std::vector<std::u32string> texts;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) texts.push_back(decoded(json::parse(line)));
  std::size_t count = 0;
  auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < times; ++i) {
    for (const std::u32string& text : texts) count += backend.tokens(text)->size();
  }
  std::fprintf(stderr, "%zu tokens\n", count);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main(int count, char** arguments) {
  if (count == 2 && arguments[1] == std::string("--numbers")) {
    for (std::string line; std::getline(std::cin, line);) {
      auto number = fnet::json_as_serde("[" + line + "]");
      number ? std::printf("%a\n", (*number)[0].get<double>()) : std::printf("%s\n", number.error().text.c_str());
    }
    return 0;
  }
  if (count != 3 && count != 6) return 2;
  std::ifstream file(arguments[1], std::ios::binary);
  const std::string data{std::istreambuf_iterator<char>(file), {}};
  auto backend = fnet::tokenizers_backend(data, arguments[2], "x.json");
  if (!backend) {
    std::cout << json{{"error", backend.error().text}} << "\n";
    return 1;
  }
  if (count == 6) {
    std::cout << seconds(**backend, arguments[5], std::stoi(arguments[4])) << "\n";
    return 0;
  }
  json special;
  for (const char* token : fnet::SPECIAL_TOKENS) special[token] = (*backend)->special_id(token);
  std::cout << json{{"vocab_size", (*backend)->vocab_size()}, {"special", special}} << "\n";
  for (std::string line; std::getline(std::cin, line);) std::cout << answer(**backend, json::parse(line)) << "\n";
}
