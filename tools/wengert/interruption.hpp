// Ctrl-C and its like: long work looks whether it shall end.
#pragma once

namespace wengert::command {

// From now on SIGINT, SIGTERM and SIGHUP (unless that was ignored: nohup) end nothing, and interrupted() tells of them. With a text, which lives
// on, the first of them says it on standard error and a second one ends the process. A reader that went and a limit on files are no signals
// any more but errors of writing.
void catch_signals(const char* at_the_first = nullptr);
bool interrupted();

}  // namespace wengert::command
