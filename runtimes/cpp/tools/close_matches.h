// What somebody may have meant who misspelt a name.
#pragma once

#include <string>
#include <vector>

// As difflib.get_close_matches: up to three of the names whose ratio to the word is 0.6 or more, in alphabetical order.
std::vector<std::string> close_matches(const std::string& word, const std::vector<std::string>& names);
