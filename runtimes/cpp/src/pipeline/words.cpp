// A text that is given as words.
#include <algorithm>

#include "base/error.h"
#include "fnet/fnet.hpp"
#include "json/writer.h"
#include "tokenizer/python_characters.h"
#include "tokenizer/tokenizer.h"

namespace fnet {

Result<std::string> text_from_words(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t number = 0; number < words.size(); ++number) {
    const auto characters = text_from_utf8(words[number]);
    if (!characters) return characters.error();
    if (characters->empty() || std::any_of(characters->begin(), characters->end(), python::is_space)) {
      return input_error("words: expected words without white space, and not empty; found " + quoted(words[number]) + " as word " +
                         std::to_string(number) + ", from 0");
    }
    if (number) text += ' ';
    text += words[number];
  }
  return text;
}

}  // namespace fnet
