// spam_header [BUNDLE]: reads an e-mail, writes it with a header `X-Spam: yes; score=0.987` or `no; ...`, all else byte for byte.
// Whatever goes wrong, it writes nothing and ends with EX_TEMPFAIL: mail servers and procmail then keep the e-mail.
#include <fnet/fnet.hpp>
#include <strings.h>
#include <sysexits.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

namespace {

constexpr char HEADER[] = "X-Spam:", SUBJECT[] = "Subject:", SPAM[] = "spam";
constexpr std::size_t READ_BYTES = 1 << 16;  // of a body; more than the model's tokens hold

int failed(const std::string& why) {
  std::cerr << "spam_header: " << why << "\n";
  return EX_TEMPFAIL;
}

// The fields of the header, each with its folded lines and line ends, and the rest: the blank line and the body.
struct Mail {
  std::vector<std::string> fields;
  std::string rest;
};

bool is_named(const std::string& field, const char* name) {
  return strncasecmp(field.c_str(), name, std::char_traits<char>::length(name)) == 0;
}

// A text that begins with no field, or has no blank line, has no header.
Mail mail_from_bytes(const std::string& bytes) {
  Mail mail;
  std::size_t at = 0;
  for (std::size_t end; at < bytes.size(); at = end) {
    end = std::min(bytes.find('\n', at), bytes.size() - 1) + 1;
    const std::string line = bytes.substr(at, end - at);
    if (line == "\n" || line == "\r\n") break;
    const std::size_t name = line.find_first_of(": \t\r\n");
    if (mail.fields.empty() && (name == 0 || name == line.npos || (line[name] != ':' && !is_named(line, "From ")))) break;
    if (line[0] == ' ' || line[0] == '\t') mail.fields.back() += line;
    else mail.fields.push_back(line);
  }
  if (mail.fields.empty() || at == bytes.size()) return {{}, bytes};
  mail.rest = bytes.substr(at);
  return mail;
}

// What the built-in model was trained on: the subject, a blank line, the body.
std::string text_of(const Mail& mail) {
  std::string text;
  for (const std::string& field : mail.fields) {
    if (is_named(field, SUBJECT)) text = field.substr(sizeof SUBJECT - 1);
  }
  text.erase(0, text.find_first_not_of(' '));
  text += mail.fields.empty() ? mail.rest : "\n" + mail.rest.substr(mail.rest.find('\n') + 1);
  if (text.size() > READ_BYTES) text.resize(std::min(READ_BYTES, text.find_last_of(" \n", READ_BYTES)));
  return text;
}

std::string utf8_from_latin1(const std::string& text) {
  std::string utf8;
  for (const unsigned char c : text) {
    if (c < 0x80) utf8 += static_cast<char>(c);
    else utf8 += {static_cast<char>(0xc0 | c >> 6), static_cast<char>(0x80 | (c & 0x3f))};
  }
  return utf8;
}

}  // namespace

int main(int count, char** words) {
  setenv("ORT_DISABLE_TELEMETRY", "1", 0);  // ONNX Runtime would send usage data to Microsoft
  const char* bundle = count == 2 ? words[1] : std::getenv("FNET_BUNDLE");
  if (!bundle || count > 2) return failed("expected the bundle's folder as the only argument, or in FNET_BUNDLE");
  fnet::Config config;
  config.threads = 1;
  const auto fnet = fnet::Pipeline::open(bundle, config);
  if (!fnet) return failed(fnet.error().text);

  const Mail mail = mail_from_bytes({std::istreambuf_iterator<char>(std::cin), {}});
  const std::string text = text_of(mail);
  auto answer = fnet->classify(text);
  if (!answer && answer.error().code == fnet::Code::input) answer = fnet->classify(utf8_from_latin1(text));  // it was no UTF-8
  if (!answer) return failed(answer.error().text);
  const auto is_spam = [](const fnet::LabelScore& score) { return score.label == SPAM; };
  const auto spam = std::find_if(answer->scores.begin(), answer->scores.end(), is_spam);
  if (spam == answer->scores.end()) return failed(std::string(bundle) + ": expected a bundle with the label " + SPAM);

  for (const std::string& field : mail.fields) {
    if (!is_named(field, HEADER)) std::cout << field;  // one that came with the e-mail is not ours
  }
  const std::string line_end = mail.rest.rfind("\r\n", 0) == 0 ? "\r\n" : "\n";
  char score[16];
  std::snprintf(score, sizeof score, "%.3f", spam->score);
  std::cout << HEADER << (answer->label == SPAM ? " yes" : " no") << "; score=" << score << line_end;
  if (mail.fields.empty()) std::cout << line_end;
  std::cout << mail.rest << std::flush;
  return std::cout ? EX_OK : failed("cannot write the e-mail");
}
