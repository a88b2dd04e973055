#include "interruption.hpp"

#include <atomic>
#include <csignal>
#include <cstring>

#include <unistd.h>

namespace wengert::command {

namespace {

std::atomic<bool> stopped{false};
std::atomic<const char*> text{nullptr};
static_assert(std::atomic<const char*>::is_always_lock_free);

void stop(int signal) {
  const char* const said = text;
  const bool again = stopped.exchange(true);
  if (said != nullptr && again) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  } else if (said != nullptr) {
    [[maybe_unused]] const auto written = write(STDERR_FILENO, said, std::strlen(said));
  }
}

}  // namespace

void catch_signals(const char* at_the_first) {
  text = at_the_first;
  std::signal(SIGINT, stop);
  std::signal(SIGTERM, stop);
  if (std::signal(SIGHUP, stop) == SIG_IGN) std::signal(SIGHUP, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

bool interrupted() { return stopped; }

}  // namespace wengert::command
