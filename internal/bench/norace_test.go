// SPDX-License-Identifier: AGPL-3.0-only

//go:build !race

package bench

// raceDetector is that this runs with the race detector, which allocates as well.
const raceDetector = false
