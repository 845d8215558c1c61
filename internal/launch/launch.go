// SPDX-License-Identifier: AGPL-3.0-only

// Package launch keeps the garbage collector from running while the program starts. The packages that signet is made of
// allocate nearly 4 MB before main begins, tables and regular expressions that stay for good; at 4 MB the collector would run,
// find hardly any garbage, and take a sixth of the processor time of a hook that has nothing else to do.
//
// Go initialises packages in the order of their paths as soon as what they import is ready. This one needs package
// runtime/debug alone, so it comes before those that allocate; were it later, the collector would merely run. Where to look
// next: package cli, which says when the launch is over.
package launch

import "runtime/debug"

// percent lets the heap grow to 8 MB before it is collected for the first time: twice what is usual.
const percent = 200

var usual = putOff()

// putOff gives what was set, by GOGC or by default. Whoever set more, or no collection at all, keeps that.
func putOff() int {
	set := debug.SetGCPercent(percent)
	if set < 0 || set > percent {
		debug.SetGCPercent(set)
	}
	return set
}

// Over has the collector run as usual from now on, in a process that works.
func Over() { debug.SetGCPercent(usual) }

// lasting has the heap grow by half of what is in use before it is collected: an agent is idle nearly always, and the memory
// is better left to its machine's other programs than the collector's time to it.
const lasting = 50

// Stay is Over for a process that stays. Whoever set less by GOGC, or no collection at all, keeps that.
func Stay() {
	if usual < 0 || usual <= lasting {
		Over()
		return
	}
	debug.SetGCPercent(lasting)
}
