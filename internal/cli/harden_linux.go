// SPDX-License-Identifier: AGPL-3.0-only

package cli

import "golang.org/x/sys/unix"

// concealMemory makes the process undumpable (PR_SET_DUMPABLE, prctl(2)). The limit of core files is not enough: where
// the kernel pipes them into a program (core(5)), as apport and systemd-coredump have it, that program decides. Its files in
// /proc belong to root then; the process itself, and debuggers of root's, read them all the same. It ends with execve(2):
// children are as usual.
func concealMemory() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }
