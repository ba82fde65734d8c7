// Keeps a file that is cut short while it is mapped from killing the process.
//
// Touching a page that a mapped file no longer has, or that the disk cannot deliver, raises SIGBUS. For windows under
// guard a handler puts zero pages in their place and marks the window; whoever reads from it asks lost_pages() before
// using what was read. A SIGBUS anywhere else goes to the handler that was there before, or ends the process as ever.
//
// The handler is installed with the first window and stays. A program that installs its own afterwards should pass
// faults that are not its own on to the one it replaced.
//
// Threads: all functions may be called from several threads at once; faults may come from any.
#pragma once

#include <cstddef>

namespace simtile::os {

struct GuardedWindow;

GuardedWindow* guard_window(void* data, std::size_t bytes);
// Whether a page of the window had to be replaced: then nothing that was read from it counts.
bool lost_pages(const GuardedWindow& window) noexcept;
// Before the window is unmapped.
void unguard_window(GuardedWindow* window) noexcept;

}  // namespace simtile::os
