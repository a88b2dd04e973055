#include "peer.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include <wengert/engine/error.hpp>
#include <wengert/models/dataset.hpp>

namespace wengert::command::experiment {

namespace {

struct System {
  const char *name, *title, *package;  // as the user and as tables call it, and what setup-peers.sh installs
  const char *program, *script;        // under the peers' folder, and the script that it runs, or null
};
constexpr System systems[] = {{"keras", "Keras", "tensorflow", "tensorflow/bin/python", "keras_peer.py"},
                              {"pytorch", "PyTorch", "torch", "torch/bin/python", "torch_peer.py"},
                              {"onednn", "oneDNN", "onednn", "onednn/build/onednn_step", nullptr}};

const System& system_of(const std::string& name) {
  for (const System& system : systems) {
    if (name == system.name) return system;
  }
  fail("no peer is called '" + name + "'");
}

// The first `threads` cores, as tools/bench/systems.py pins its peers.
void pin(int threads) {
  cpu_set_t allowed, chosen;
  CPU_ZERO(&chosen);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  for (int core = 0, found = 0; core < CPU_SETSIZE && found < threads; ++core)
    if (CPU_ISSET(core, &allowed)) CPU_SET(core, &chosen), ++found;
  sched_setaffinity(0, sizeof chosen, &chosen);
}

// Ends with its parent, even where that is killed.
[[noreturn]] void become(std::vector<std::string> words, int in, int out, int err, int threads, pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  pin(threads);
  dup2(in, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  if (err >= 0) dup2(err, STDERR_FILENO);
  setenv("OMP_WAIT_POLICY", "active", 1);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execv(arguments[0], arguments.data());
  _exit(127);
}

}  // namespace

std::vector<std::string> peer_names() {
  std::vector<std::string> names;
  for (const System& system : systems) names.emplace_back(system.name);
  return names;
}

bool peer_is_present(const std::string& name, const std::filesystem::path& folder) {
  return std::filesystem::exists(folder / system_of(name).program);
}

std::string peer_title(const std::string& name) { return system_of(name).title; }

Peer::Peer(const std::string& name, const std::filesystem::path& folder, int threads) {
  const System& system = system_of(name);
  const std::filesystem::path program = folder / system.program;
  if (!peer_is_present(name, folder)) fail(fmt::format("absent: tools/bench/setup-peers.sh {} installs it", system.package));
  std::vector<std::string> words = {program.string()};
  if (system.script != nullptr) words.push_back((share_folder() / "peers" / system.script).string());
  words.insert(words.end(), {"--threads", std::to_string(threads)});
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) fail(fmt::format("no pipe: {}", std::strerror(errno)));
  child_.said = memfd_create("what a peer says", MFD_CLOEXEC);
  const pid_t parent = getpid();
  child_.process = fork();
  if (child_.process == 0) become(std::move(words), in[0], out[1], child_.said, threads, parent);
  close(in[0]), close(out[1]);
  child_.to = in[1], child_.from = out[0];
  if (child_.process < 0) fail(fmt::format("no process: {}", std::strerror(errno)));
  setpgid(child_.process, child_.process);
  constexpr double start_seconds = 300;
  about_ = answer(start_seconds);
  child_.signal(SIGSTOP);
}

Peer::Child::~Child() {
  if (process > 0) {
    signal(SIGKILL);
    waitpid(process, nullptr, 0);
  }
  for (const int end : {to, from, said}) {
    if (end >= 0) close(end);
  }
}

void Peer::Child::signal(int number) const { kill(-process, number); }

std::string Peer::Child::end() {
  int status = 0;
  std::string text;
  constexpr int most_looks = 200, apart = 10000;  // microseconds: it has closed its output, and is about to end
  for (int look = 0; look < most_looks && waitpid(process, &status, WNOHANG) == 0; ++look) usleep(apart);
  if (kill(process, 0) != 0) {
    process = -1;
    text = WIFSIGNALED(status) ? fmt::format(", by signal {}", WTERMSIG(status)) : fmt::format(" with exit code {}", WEXITSTATUS(status));
  }
  std::string all(static_cast<std::size_t>(std::max<off_t>(0, lseek(said, 0, SEEK_END))), '\0');
  if (pread(said, all.data(), all.size(), 0) != static_cast<ssize_t>(all.size())) all.clear();
  const std::size_t last = all.find_last_not_of(" \n");
  if (last == std::string::npos) return text;
  const std::size_t before = all.find_last_of('\n', last);
  const std::size_t first = before == std::string::npos ? 0 : before + 1;
  constexpr std::size_t most = 200;
  return text + ": " + all.substr(first, std::min(most, last + 1 - first));
}

Json Peer::ask(const std::string& request, double seconds) {
  child_.signal(SIGCONT);
  const std::string line = request + "\n";
  if (write(child_.to, line.data(), line.size()) != static_cast<ssize_t>(line.size())) fail("it has ended" + child_.end());
  Json reply = answer(seconds);
  child_.signal(SIGSTOP);
  if (reply.contains("error")) fail(reply.at("error").get<std::string>());
  return reply;
}

Json Peer::answer(double seconds) {
  const auto deadline = static_cast<int>(seconds * 1000);
  for (std::size_t end; (end = unread_.find('\n')) == std::string::npos;) {
    pollfd waiting{child_.from, POLLIN, 0};
    const int ready = poll(&waiting, 1, deadline);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) fail(fmt::format("no answer in {:.0f} s", seconds));
    char bytes[4096];
    const ssize_t count = read(child_.from, bytes, sizeof bytes);
    if (count <= 0) fail("it has ended" + child_.end());
    unread_.append(bytes, static_cast<std::size_t>(count));
  }
  const std::size_t end = unread_.find('\n');
  Json reply = Json::parse(unread_.substr(0, end), nullptr, false);
  unread_.erase(0, end + 1);
  if (!reply.is_object()) fail("its answer is no JSON");
  return reply;
}

}  // namespace wengert::command::experiment
